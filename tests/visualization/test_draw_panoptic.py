import json

import numpy as np
import pytest

from mmxf.visualization import (
    draw_panoptic,
    panoptic_from_png,
    panoptic_sheet,
    read_rgb,
    sample_panoptic,
    side_by_side,
    split_panoptic,
    write_image,
)
from mmxf.visualization.colors import check_palette, generate_palette, instance_shade, segment_colors
from mmxf.visualization.labels import place_labels
from mmxf.visualization.panoptic import border_weights, display_name, enlarge_index

CLASSES = ['ball', 'box', 'floor']
PALETTE = [(200, 30, 30), (30, 30, 200), (90, 160, 90)]


def two_balls(height=200, width=300):
    """Floor (label 2), two balls (label 0, instances 1 and 2), a void stripe at the right."""
    panoptic = np.full((height, width), 2)
    panoptic[40:100, 40:120] = 1000
    panoptic[120:180, 150:230] = 2000
    panoptic[:, -20:] = 3
    return panoptic


def test_split_numbers_segments_and_leaves_void_out():
    index, labels, instances = split_panoptic(two_balls()[None], 3)
    assert labels.tolist() == [2, 0, 0] and instances.tolist() == [0, 1, 2]
    assert index[0, 0] == 0 and index[50, 50] == 1 and index[150, 200] == 2 and index[0, -1] == -1


def test_colors_are_the_palettes_and_instances_differ():
    colors = segment_colors([2, 0, 0, 2], [False, True, True, False], PALETTE)
    assert tuple(colors[0]) == tuple(colors[3]) == PALETTE[2]
    assert tuple(colors[1]) == PALETTE[0] and np.abs(colors[1].astype(int) - colors[2]).sum() > 40


def test_a_crowd_has_many_shades():
    assert len({instance_shade(PALETTE[0], i) for i in range(40)}) == 40
    for color in PALETTE + [(128, 128, 128), (0, 0, 0), (255, 255, 255)]:
        assert len({instance_shade(color, i) for i in range(40)}) >= 20


def test_generated_palette_has_no_repeats_and_short_ones_are_refused():
    assert len(set(generate_palette(133))) == 133
    with pytest.raises(ValueError, match='2 colours for 3 classes'):
        check_palette(PALETTE[:2], 3)


def test_drawing_paints_segments_in_their_colour():
    image = np.full((200, 300, 3), 128, np.uint8)
    out = draw_panoptic(
        image, two_balls(), CLASSES, PALETTE, thing_classes=['ball', 'box'], labels=False, alpha=1, min_side=0
    )
    assert out.shape == image.shape and out.dtype == np.uint8
    assert np.abs(out[70, 80].astype(int) - PALETTE[0]).max() <= 2  # inside the first ball
    assert np.abs(out[20, 20].astype(int) - PALETTE[2]).max() <= 2  # on the floor
    assert np.ptp(out[100, -5].astype(int)) <= 2  # void stays grey
    assert out[39:41, 80].min() > 180  # the border is a light line


def test_scores_and_labels_change_only_what_is_near_the_labels():
    image = np.full((400, 600, 3), 128, np.uint8)
    panoptic = two_balls(400, 600)
    plain = draw_panoptic(image, panoptic, CLASSES, PALETTE, labels=False)
    named = draw_panoptic(image, panoptic, CLASSES, PALETTE)
    scored = draw_panoptic(image, panoptic, CLASSES, PALETTE, scores={1000: 0.9})
    changed = (plain != named).any(-1)
    assert 0.001 < changed.mean() < 0.1 and (named != scored).any()


def test_small_images_are_enlarged_with_their_map():
    out = draw_panoptic(
        np.zeros((50, 75, 3), np.uint8), two_balls()[::4, ::4], CLASSES, PALETTE, min_side=200
    )
    assert out.shape == (200, 300, 3)


def test_enlarging_a_map_keeps_its_segments_in_place():
    index, _, _ = split_panoptic(two_balls()[::4, ::4], 3)
    large = enlarge_index(index, (200, 300))
    want, _, _ = split_panoptic(two_balls(), 3)
    assert (large == want).mean() > 0.97 and set(np.unique(large)) == {-1, 0, 1, 2}


def test_border_weights_mark_borders_only():
    index = np.zeros((40, 60), np.int32)
    index[:, 30:] = 1
    line, shadow = border_weights(index, 1.0)
    assert line[:, 29:31].min() > 0.5 and line[:, :25].max() == 0 and shadow[:, 27].min() > 0


def test_labels_are_inside_their_segments_and_do_not_overlap():
    index, labels, _ = split_panoptic(two_balls(), 3)
    placed = place_labels(index, [CLASSES[i] for i in labels], 11)
    assert [p[0] for p in placed] == [0, 1, 2]  # by falling size
    for segment, x, y, w, h in placed:
        assert index[int(y + h / 2), int(x + w / 2)] == segment
    boxes = [p[1:] for p in placed]
    for i, (ax, ay, aw, ah) in enumerate(boxes):
        for bx, by, bw, bh in boxes[i + 1 :]:
            assert ax + aw < bx or bx + bw < ax or ay + ah < by or by + bh < ay


def test_a_segment_smaller_than_its_name_gets_none():
    index = np.zeros((100, 100), np.int32)
    index[50:53, 50:53] = 1
    assert [p[0] for p in place_labels(index, ['floor', 'ball'], 11)] == [0]


def test_everything_void_and_odd_shapes_are_drawn():
    void = np.full((31, 17), 3)
    assert draw_panoptic(np.zeros((31, 17, 3), np.uint8), void, CLASSES, PALETTE).shape[2] == 3
    with pytest.raises(ValueError, match=r'\(H, W\)'):
        draw_panoptic(np.zeros((31, 17, 3), np.uint8), np.zeros((2, 31, 17)), CLASSES, PALETTE)


def test_sheet_holds_all_panels_and_the_legend():
    image = np.full((420, 300, 3), 77, np.uint8)
    alone = side_by_side([('image', image)])
    pair = side_by_side([('image', image), ('again', image)], title='name', legend=[('ball', (200, 30, 30))])
    assert pair.shape[1] > alone.shape[1] + 300 and pair.shape[0] > alone.shape[0]
    assert (pair == (77, 77, 77)).all(-1).sum() == 2 * 420 * 300
    assert (pair == (200, 30, 30)).all(-1).sum() > 50
    with pytest.raises(ValueError):
        side_by_side([])


def test_panoptic_sheet_has_a_picture_a_map():
    panoptic = two_balls(420, 420)
    image = np.zeros((420, 420, 3), np.uint8)
    one = panoptic_sheet(image, [('prediction', panoptic)], CLASSES, PALETTE)
    two = panoptic_sheet(image, [('ground truth', panoptic), ('prediction', panoptic)], CLASSES, PALETTE)
    assert two.shape[1] - one.shape[1] > 420


def test_display_names():
    assert [display_name(n) for n in ('wall-other-merged', 'door-stuff', 'floor-wood', 'person')] == [
        'wall',
        'door',
        'floor-wood',
        'person',
    ]


def test_official_png_becomes_a_map(tmp_path):
    ids = np.zeros((6, 8), np.int64)
    ids[:, 4:] = 70000
    ids[:3, :2] = 300
    ids[3:, :2] = 301
    write_image(
        tmp_path / 'a.png', np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    )
    segments = [
        dict(id=70000, category_id=30),
        dict(id=300, category_id=10),
        dict(id=301, category_id=10, iscrowd=1),
    ]
    out = panoptic_from_png(tmp_path / 'a.png', segments, 3, {10: 0, 30: 2})
    assert (out[:, 4:] % 1000 == 2).all() and (out[:3, :2] % 1000 == 0).all()
    assert (out[3:, :2] == 3).all() and (out[:, 2:4] == 3).all()  # crowd and 0 are void


def test_image_files(tmp_path):
    image = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    assert (read_rgb(write_image(tmp_path / 'sub' / 'ä.png', image)) == image).all()
    (tmp_path / 'bad.png').write_bytes(b'no')
    with pytest.raises(ValueError, match='bad.png'):
        read_rgb(tmp_path / 'bad.png')


def test_samples_of_both_kinds_give_their_map():
    import torch
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData, PixelData

    ours = DetDataSample()
    ours.gt_instances = InstanceData(labels=torch.tensor([2, 0, 0]))
    ours.gt_panoptic_index = PixelData(data=torch.tensor([[[0, 1], [2, -1]]]))
    out = sample_panoptic(ours, 3, (7, 8))  # stride 4: entries stand for pixels 0 and 4
    assert (
        out.shape == (7, 8)
        and (
            out % 1000
            == np.array([2, 0, 0, 3])[[[0, 0, 1, 1, 1, 1, 1, 1]] * 2 + [[2, 2, 3, 3, 3, 3, 3, 3]] * 5]
        ).all()
    )
    assert out[0, 7] != out[6, 0]  # two balls are two instances
    theirs = DetDataSample()
    masks = np.zeros((1, 4, 4), np.uint8)
    masks[0, :2, :2] = 1
    theirs.gt_instances = InstanceData(labels=torch.tensor([1]), masks=BitmapMasks(masks, 4, 4))
    theirs.gt_sem_seg = PixelData(sem_seg=torch.full((1, 4, 4), 2))
    theirs.gt_sem_seg.sem_seg[0, 3] = 255
    out = sample_panoptic(theirs, 3) % 1000
    assert (out[:2, :2] == 1).all() and (out[3] == 3).all() and (out[2] == 2).all()
    assert sample_panoptic(DetDataSample(), 3) is None


def test_real_coco_samples_draw(real_data, tmp_path):
    root = real_data / 'coco_panoptic'
    categories = json.loads((root / 'annotations' / 'panoptic_coco_categories.json').read_text())
    annotations = json.loads((root / 'annotations' / 'panoptic_val2017.json').read_text())['annotations']
    labels = {c['id']: i for i, c in enumerate(categories)}
    for annotation in annotations:
        image = read_rgb(root / 'val2017' / annotation['file_name'].replace('.png', '.jpg'))
        panoptic = panoptic_from_png(
            root / 'annotations' / 'panoptic_val2017' / annotation['file_name'],
            annotation['segments_info'],
            len(labels),
            labels,
        )
        kept = [s for s in annotation['segments_info'] if not s['iscrowd']]
        assert len(np.unique(panoptic[panoptic % 1000 != len(labels)])) == len(kept)
        sheet = panoptic_sheet(
            image,
            [('ground truth', panoptic)],
            [c['name'] for c in categories],
            [c['color'] for c in categories],
        )
        assert sheet.std() > 20
