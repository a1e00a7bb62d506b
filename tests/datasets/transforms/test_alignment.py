"""Whole pipelines: after all of it, the colour of a pixel still says which segment it belongs to."""

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from scipy.ndimage import maximum_filter, minimum_filter

from mmxf.datasets import PanopticDataset


def pipeline(size, scales, stride=4):
    load = [{'type': 'LoadImageFromFile'}, {'type': 'LoadPanopticSegments', 'unknown': 'error'}]
    return [
        *load,
        {'type': 'LargeScaleJitter', 'size': size, 'scale_range': scales},
        {'type': 'RandomFlip', 'prob': 0.5},
        {'type': 'PadToSize', 'size': size},
        {
            'type': 'PanopticCopyPaste',
            'pipeline': [
                *load,
                {'type': 'LargeScaleJitter', 'size': size, 'scale_range': (scales[0] / 2, scales[1] / 2)},
                {'type': 'RandomFlip', 'prob': 0.5},
            ],
        },
        {'type': 'PackPanopticInputs', 'min_labelled': 0.04, 'mask_stride': stride},
    ]


def colour(label):
    return 20 + 23 * label, 250 - 23 * label, 255 - 80 * (label % 3)


@pytest.fixture
def painted(tmp_path, panoptic_writer):
    """Two images of rectangles whose colour encodes the class; classes 0-4 in one, 5-9 in the other, 10 in
    both."""
    samples = []
    for number, (h, w) in enumerate([(120, 200), (180, 140)]):
        rng = np.random.RandomState(number)
        ids, img = np.full((h, w), 900), np.full((h, w, 3), colour(10), np.uint8)
        for label in range(5 * number, 5 * number + 5):
            # On a grid of 20 pixels: narrower strips could be seen in a shrunk image and lost in its labels.
            y, x = 20 * rng.randint(0, h // 20 - 2), 20 * rng.randint(0, w // 20 - 2)
            ids[y : y + 60, x : x + 60], img[y : y + 60, x : x + 60] = 1000 * (label + 1), colour(label)
        ids[-20:], img[-20:] = 0, 0  # void is black
        samples.append(
            {
                'name': str(number),
                'img': img,
                'ids': ids,
                'segments': [
                    {'id': int(i), 'category_id': 10 if i == 900 else int(i) // 1000 - 1}
                    for i in np.unique(ids)
                    if i
                ],
            }
        )
    names = [f'c{i}' for i in range(11)]
    categories = [{'id': i, 'name': n, 'isthing': int(i < 10)} for i, n in enumerate(names)]
    return {
        **panoptic_writer(tmp_path, samples, categories),
        'metainfo': {'classes': names, 'thing_classes': names[:10]},
    }


@pytest.mark.parametrize('size', [(129, 129), (96, 193)])
def test_colours_agree_with_labels(painted, size):
    full, coarse = (
        PanopticDataset(pipeline=pipeline(size, (0.3, 2.0), stride), **painted) for stride in (1, 4)
    )
    shares, pasted = [], 0
    for i in range(40):
        np.random.seed(i)
        packed = full[i % 2]
        data = packed['data_samples']
        index, labels = data.gt_panoptic_index.data[0].numpy(), data.gt_instances.labels.numpy()
        img = packed['inputs'].permute(1, 2, 0).numpy().astype(int)
        assert img.shape[:2] == index.shape == size
        assert set(range(len(labels))) <= set(index.ravel()) <= set(range(-1, len(labels)))
        assert sum(labels == 10) <= 1  # stuff of both images is one segment
        if 'real_pixel_mask' in data:
            real = data.real_pixel_mask.data[0].numpy()
            assert (index[~real] == -1).all() and (img[~real] == 0).all()
        expected = np.array([colour(c) for c in labels] + [(0, 0, 0)])[index]
        inside = minimum_filter(index, 5) == maximum_filter(index, 5)  # 2 pixels from any border
        # All but the blurred rims of stuff that was pasted onto stuff of its own class.
        assert (abs(img - expected)[inside].max(-1) > 2).mean() < 0.01
        shares.append(inside.mean())
        pasted += len({c // 5 for c in labels if c < 10}) == 2

        np.random.seed(i)
        data = coarse[i % 2]['data_samples']
        at_stride = np.append(data.gt_instances.labels.numpy(), -1)[data.gt_panoptic_index.data[0].numpy()]
        assert (at_stride == np.append(labels, -1)[index][::4, ::4]).all()
    assert np.mean(shares) > 0.5 and pasted > 10


def test_same_seed_same_sample(painted):
    dataset = PanopticDataset(pipeline=pipeline((65, 97), (0.2, 2.0)), **painted)
    batches = []
    for _ in range(2):
        np.random.seed(7)
        batches.append(pseudo_collate([dataset[0], dataset[1]]))
    a, b = batches
    assert all((x == y).all() for x, y in zip(a['inputs'], b['inputs']))
    assert all(
        (x.gt_panoptic_index.data == y.gt_panoptic_index.data).all()
        for x, y in zip(a['data_samples'], b['data_samples'])
    )
    np.random.seed(8)
    other = dataset[0]['inputs']
    assert (other != a['inputs'][0]).any()
