"""Loading and packing of panoptic segments on hand-made maps."""

import pickle

import cv2
import numpy as np
import pytest
import torch

from mmxf.datasets.transforms import LoadPanopticSegments, PackPanopticInputs, panoptic
from mmxf.datasets.transforms.panoptic import pack_segments, read_segment_ids


def seg(id, label, isthing=True, iscrowd=False):
    return {'id': id, 'label': label, 'isthing': isthing, 'iscrowd': iscrowd}


def write_png(path, ids):
    ids = np.asarray(ids)
    cv2.imwrite(str(path), np.stack([ids >> 16, ids >> 8 & 255, ids & 255], -1).astype(np.uint8))
    return str(path)


def test_ids_from_colours(tmp_path):
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, np.array([[[3, 2, 1], [0, 0, 255], [255, 255, 255]]], np.uint8))  # BGR
    ids = read_segment_ids(path)
    assert ids.tolist() == [[1 + 256 * 2 + 65536 * 3, 255, (1 << 24) - 1]] and ids.dtype == np.int32


def test_loading_renumbers_in_the_order_of_the_list(tmp_path):
    ids = [[0, 70000, 70000], [300, 300, 9]]
    results = LoadPanopticSegments().transform(
        {
            'seg_map_path': write_png(tmp_path / 'a.png', ids),
            'img': np.zeros((2, 3, 3)),
            'segments_info': [seg(300, 5, False), seg(9, 1, iscrowd=True), seg(70000, 1)],
        }
    )
    assert results['gt_seg_map'].tolist() == [[0, 3, 3], [1, 1, 2]]
    assert results['gt_seg_map'].dtype == np.int32
    assert [(s['id'], s['file_id'], s['label'], s['iscrowd']) for s in results['segments_info']] == [
        (1, 300, 5, False),
        (2, 9, 1, True),
        (3, 70000, 1, False),
    ]


def test_loading_leaves_nothing_of_one_image_for_the_next(tmp_path):
    load = pickle.loads(pickle.dumps(LoadPanopticSegments()))
    for ids, known in (([[5, 6]], [5, 6]), ([[6, 5]], [6])):
        results = load.transform(
            {'seg_map_path': write_png(tmp_path / 'a.png', ids), 'segments_info': [seg(i, 0) for i in known]}
        )
    assert results['gt_seg_map'].tolist() == [[1, 0]]


def test_stuff_listed_twice_is_one_segment(tmp_path):
    results = LoadPanopticSegments().transform(
        {
            'seg_map_path': write_png(tmp_path / 'a.png', [[4, 5, 6, 7]]),
            'segments_info': [seg(4, 2, False), seg(5, 2, False), seg(6, 3), seg(7, 3)],
        }
    )
    assert results['gt_seg_map'].tolist() == [[1, 1, 2, 3]]
    assert [s['id'] for s in results['segments_info']] == [1, 2, 3]


def test_ids_that_the_list_lacks(tmp_path, monkeypatch):
    results = {'seg_map_path': write_png(tmp_path / 'odd.png', [[1, 2, 2]]), 'segments_info': [seg(1, 0)]}
    with pytest.raises(ValueError, match=r'odd.png: 2 pixels .* ids \[2\]'):
        LoadPanopticSegments(unknown='error').transform(dict(results))
    messages = []
    monkeypatch.setattr(panoptic, 'print_log', lambda message, **kwargs: messages.append(message))
    load = LoadPanopticSegments()
    for _ in range(12):
        out = load.transform(dict(results))
    assert out['gt_seg_map'].tolist() == [[1, 0, 0]]
    assert len(messages) == 10 and 'odd.png: 2 pixels' in messages[0] and 'no more' in messages[9]


def test_bad_files_are_named(tmp_path):
    path = write_png(tmp_path / 'a.png', [[1, 1]])
    with pytest.raises(ValueError, match=r'a.png is 1x2 .* b.jpg 2x2'):
        LoadPanopticSegments().transform(
            {'seg_map_path': path, 'img': np.zeros((2, 2, 3)), 'img_path': 'b.jpg', 'segments_info': []}
        )
    for content in (b'', b'no png'):
        (tmp_path / 'a.png').write_bytes(content)
        with pytest.raises(ValueError, match='failed to decode the panoptic PNG .*a.png'):
            LoadPanopticSegments().transform({'seg_map_path': path, 'segments_info': []})
    with pytest.raises(FileNotFoundError, match='gone.png'):
        LoadPanopticSegments().transform({'seg_map_path': str(tmp_path / 'gone.png'), 'segments_info': []})
    with pytest.raises(ValueError, match='image b.jpg has no panoptic PNG'):
        LoadPanopticSegments().transform({'img_path': 'b.jpg'})
    for bad in (0, 1 << 24):
        with pytest.raises(ValueError, match=f'segment id {bad}'):
            LoadPanopticSegments().transform(
                {'seg_map_path': write_png(tmp_path / 'a.png', [[1]]), 'segments_info': [seg(bad, 0)]}
            )


def test_packing_drops_hidden_segments_and_voids_crowds():
    # At stride 2 rows 0, 2 and columns 0, 2, 4 are seen: segment 40 is not.
    ids = np.array([[7, 40, 9, 40, 0], [40, 40, 40, 40, 40], [9, 40, 8, 40, 55]], np.int32)
    segments = [seg(8, 3), seg(40, 4), seg(9, 5, iscrowd=True), seg(7, 6, False)]
    index, labels, labelled = pack_segments(ids[::2, ::2], segments)
    assert index.tolist() == [[1, -1, -1], [-1, 0, -1]] and labels.tolist() == [3, 6] and labelled == 2
    assert index.dtype == labels.dtype == np.int64


def sample(ids, segments, **extra):
    return {
        'img': np.arange(ids.size * 3, dtype=np.uint8).reshape(*ids.shape, 3),
        'gt_seg_map': ids,
        'segments_info': segments,
        'img_id': 4,
        'img_path': 'p.jpg',
        'img_shape': ids.shape,
        **extra,
    }


def test_packed_sample():
    ids = np.ones((5, 9), np.int32)
    ids[:, 5:] = 2
    real = np.ones((5, 9), bool)
    results = sample(
        ids, [seg(1, 11), seg(2, 12, False)], real_pixel_mask=real, ori_shape=(50, 90), flip=True
    )
    out = PackPanopticInputs(mask_stride=4).transform(results)
    assert out['inputs'].dtype == torch.uint8 and out['inputs'].is_contiguous()
    assert torch.equal(out['inputs'].permute(1, 2, 0), torch.from_numpy(results['img']))
    data = out['data_samples']
    assert data.gt_instances.labels.tolist() == [11, 12] and data.gt_instances.labels.dtype == torch.int64
    assert data.gt_panoptic_index.data.tolist() == [[[0, 0, 1], [0, 0, 1]]]
    assert data.gt_panoptic_index.data.dtype == torch.int64
    assert data.real_pixel_mask.data.shape == (1, 5, 9) and data.real_pixel_mask.data.dtype == torch.bool
    assert data.metainfo == {
        'img_id': 4,
        'img_path': 'p.jpg',
        'img_shape': (5, 9),
        'ori_shape': (50, 90),
        'flip': True,
    }


def test_packing_without_targets():
    out = PackPanopticInputs().transform({'img': np.zeros((2, 2, 3), np.uint8), 'img_path': 'x'})
    assert 'gt_instances' not in out['data_samples'] and 'real_pixel_mask' not in out['data_samples']


def test_nearly_empty_samples_are_drawn_again():
    ids = np.zeros((40, 40), np.int32)
    ids[:4, :10] = 1  # 40 pixels labelled
    pack = PackPanopticInputs(mask_stride=1, min_labelled=40)
    assert pack.transform(sample(ids, [seg(1, 0)])) is None
    ids[4, 0] = 1
    assert pack.transform(sample(ids, [seg(1, 0)])) is not None
    with pytest.raises(ValueError, match='min_labelled=4096, but the targets have 1600 pixels'):
        PackPanopticInputs(mask_stride=1, min_labelled=4096).transform(sample(ids, [seg(1, 0)]))
    # As a share: the configs' is 4096 of 321x321.
    pack = PackPanopticInputs(mask_stride=1, min_labelled=4096 / 321**2)
    for side, rule in ((321, 4096), (40, 64)):
        ids = np.zeros((side, side), np.int32)
        ids.ravel()[:rule] = 1
        assert pack.transform(sample(ids, [seg(1, 0)])) is None
        ids.ravel()[rule] = 1
        assert pack.transform(sample(ids, [seg(1, 0)])) is not None
    assert PackPanopticInputs(min_labelled=4096 / (257 * 513))._fewest(257 * 513) == 4096
    for bad in (-1, 1.0):
        with pytest.raises(ValueError, match='min_labelled'):
            PackPanopticInputs(min_labelled=bad)


def test_samples_without_segments():
    ids = np.zeros((8, 8), np.int32)
    for segments in ([], [seg(1, 0)], [seg(1, 0, iscrowd=True)]):
        assert PackPanopticInputs(min_labelled=1).transform(sample(ids, segments)) is None
        data = PackPanopticInputs().transform(sample(ids, segments))['data_samples']
        assert data.gt_instances.labels.shape == (0,) and data.gt_panoptic_index.data.unique().tolist() == [
            -1
        ]
