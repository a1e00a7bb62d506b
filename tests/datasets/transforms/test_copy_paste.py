"""Panoptic copy-paste on hand-made samples."""

from collections import Counter

import numpy as np
import pytest

from mmxf.datasets import PanopticDataset
from mmxf.datasets.transforms import PanopticCopyPaste
from mmxf.datasets.transforms.copy_paste import choose_segments, paste_segments


def seg(id, label, isthing=True, iscrowd=False):
    return {'id': id, 'label': label, 'isthing': isthing, 'iscrowd': iscrowd}


def make(ids, segments, colour, **extra):
    ids = np.array(ids, np.int32)
    return {
        'img': np.full((*ids.shape, 3), colour, np.uint8),
        'gt_seg_map': ids,
        'segments_info': segments,
        'img_path': f'{colour}.jpg',
        **extra,
    }


def test_paste_by_hand():
    # Label 1 things; 7, 8 stuff. The second image is smaller: it lies in the top left corner.
    first = make(
        [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 0, 0]], [seg(1, 1), seg(2, 7, False), seg(3, 1, iscrowd=True)], 10
    )
    second = make(
        [[1, 1, 2], [4, 3, 0]], [seg(1, 1), seg(2, 7, False), seg(3, 8, False), seg(4, 1, iscrowd=True)], 99
    )
    out = paste_segments(first, second, second['segments_info'][:3])
    assert out['gt_seg_map'].tolist() == [
        [4, 4, 2, 2],  # the thing is new: id 4; stuff 7 joins the first's
        [1, 5, 2, 2],  # the crowd and void are not pasted; stuff 8 is new
        [3, 3, 0, 0],
    ]
    assert out['img'][..., 0].tolist() == [[99, 99, 99, 10], [10, 99, 10, 10], [10, 10, 10, 10]]
    assert [(s['id'], s['label']) for s in out['segments_info']] == [(1, 1), (2, 7), (3, 1), (4, 1), (5, 8)]
    assert out['mix_img_paths'] == ['99.jpg']


def test_a_segment_that_is_not_chosen_stays_out():
    first = make([[1, 1]], [seg(1, 1)], 10)
    second = make([[1, 2]], [seg(1, 7, False), seg(2, 1)], 99)
    out = paste_segments(first, second, [second['segments_info'][1]])
    assert out['gt_seg_map'].tolist() == [[1, 2]] and out['img'][..., 0].tolist() == [[10, 99]]
    out = paste_segments(make([[1, 1]], [seg(1, 1)], 10), second, [])
    assert (
        out['gt_seg_map'].tolist() == [[1, 1]] and (out['img'] == 10).all() and len(out['segments_info']) == 1
    )


def test_ids_do_not_collide_and_crowds_do_not_merge():
    # A crowd of stuff class 7 in the first image is void; the pasted stuff must not become part of it.
    first = make([[500000, 500000]], [seg(500000, 7, False, iscrowd=True)], 10)
    second = make([[500000, 0]], [seg(500000, 7, False)], 99)
    out = paste_segments(first, second, second['segments_info'])
    assert out['gt_seg_map'].tolist() == [[500001, 500000]]
    assert out['segments_info'][1] == seg(500001, 7, False)


def test_padding_under_a_pasted_segment_is_real():
    real = np.array([[True, False, False]])
    first = make([[1, 0, 0]], [seg(1, 1)], 10, real_pixel_mask=real)
    out = paste_segments(first, make([[0, 1, 0]], [seg(1, 1)], 99), [seg(1, 1)])
    assert out['real_pixel_mask'].tolist() == [[True, True, False]]


def test_a_larger_second_image_is_refused():
    with pytest.raises(ValueError, match='second image is 1x3 .* larger than the first, 1x2'):
        paste_segments(make([[1, 1]], [], 1), make([[1, 1, 1]], [], 2), [])


def test_mirrored_and_read_only_inputs():
    # From RandomFlip and from Pillow.
    first, second = make([[1, 1]], [seg(1, 1)], 10), make([[0, 1]], [seg(1, 1)], 99)
    first['img'].flags.writeable = False
    for key in ('img', 'gt_seg_map'):
        second[key] = second[key][:, ::-1]
    out = paste_segments(first, second, second['segments_info'])
    assert out['gt_seg_map'].tolist() == [[2, 1]] and out['img'][..., 0].tolist() == [[99, 10]]


def test_choice_takes_all_things_some_stuff_and_no_crowd():
    # Official rule: of n shuffled segments the first k, k uniform in 0..n, and all things. A given stuff
    # segment is among them with probability E[k] / n = 1/2; all and none of 2 stuff among n = 4 with
    # probability 1/3 each: sum over k of C(k,2)/C(4,2) / 5 = (0+0+1+3+6)/6/5.
    segments = [seg(1, 0), seg(2, 7, False), seg(3, 0, iscrowd=True), seg(4, 1), seg(5, 8, False)]
    np.random.seed(0)
    counts = Counter(tuple(s['id'] for s in choose_segments(segments)) for _ in range(3000))
    assert set(counts) == {(1, 4), (1, 2, 4), (1, 4, 5), (1, 2, 4, 5)}
    assert counts[1, 4] / 3000 == pytest.approx(1 / 3, abs=0.03)
    assert counts[1, 2, 4, 5] / 3000 == pytest.approx(1 / 3, abs=0.03)
    assert choose_segments([]) == [] and choose_segments([seg(3, 0, iscrowd=True)]) == []


LOAD = [{'type': 'LoadImageFromFile'}, {'type': 'LoadPanopticSegments'}]


def test_in_a_dataset(two_images):
    dataset = PanopticDataset(pipeline=[*LOAD, PanopticCopyPaste(pipeline=LOAD)], **two_images)
    np.random.seed(0)
    partners = Counter(dataset[1]['mix_img_paths'][0][-5:] for _ in range(60))
    assert set(partners) == {'a.png', 'b.png'} and min(partners.values()) > 15  # any image, itself too
    while (out := dataset[1])['mix_img_paths'][0].endswith('b.png'):
        pass
    # a's cat over b's crowd of dogs, in a's columns 0..1; grass perhaps.
    assert (out['gt_seg_map'][:, :2] == 2).all() and (out['gt_seg_map'][:, 4:] == 1).all()
    assert (out['img'][:, :2] == 50).all() and (out['img'][:, 4:] == 90).all()


def test_probability(two_images):
    paste = PanopticCopyPaste(pipeline=LOAD, prob=0.25)
    dataset = PanopticDataset(pipeline=[*LOAD, paste], **two_images)
    np.random.seed(0)
    assert 0.1 < np.mean(['mix_img_paths' in dataset[0] for _ in range(100)]) < 0.4
    with pytest.raises(KeyError, match='mix_infos'):
        paste.transform({})
    with pytest.raises(ValueError, match='prob=2'):
        PanopticCopyPaste(pipeline=LOAD, prob=2)
