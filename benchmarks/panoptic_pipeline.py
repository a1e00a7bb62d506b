"""The panoptic large-scale-jitter pipeline beside mmdet's own, on the same images in the same run, one core.

    python benchmarks/panoptic_pipeline.py [--images 24] [--runs 3] [--size 1024]

Images of COCO's size (640 x 480), with 24 segments each, are generated. Both sides read JPEG and panoptic PNG, scale by 0.1 to 2,
crop to --size, flip and pack; ours also pads to --size, mmdet's leaves that to the model. mmdet's steps are those of its
mask2former_r50_8xb2-lsj-50e_coco-panoptic.py.
"""
from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
import time
import types
from pathlib import Path

import cv2
import numpy as np


def write_images(folder: Path, count: int, segments: int = 24, size: tuple[int, int] = (480, 640)) -> Path:
    """Noise that JPEG finds as hard as photographs, with a mosaic of segments; returns the annotation file."""
    rng = np.random.default_rng(0)
    (folder / 'img').mkdir()
    (folder / 'seg').mkdir()
    images, annotations = [], []
    y, x = np.mgrid[:size[0], :size[1]]
    for i in range(count):
        centres = rng.random((segments, 2)) * size
        owner = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in centres], axis=0)
        smooth = cv2.resize(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
        noisy = np.clip(smooth.astype(int) + rng.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / 'img' / f'{i:012}.jpg'), noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])
        ids = 1000 + owner * 7919
        cv2.imwrite(str(folder / 'seg' / f'{i:012}.png'), np.stack([ids >> 16, ids >> 8 & 255, ids & 255], -1).astype(np.uint8))
        images.append(dict(id=i, file_name=f'{i:012}.jpg', height=size[0], width=size[1]))
        infos = []
        for k in range(segments):
            rows, columns = np.nonzero(owner == k)
            box = [int(columns.min()), int(rows.min()), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
            infos.append(dict(id=1000 + k * 7919, category_id=1 + k % 2 if k < 16 else 200, iscrowd=0, area=len(rows), bbox=box))
        annotations.append(dict(image_id=i, file_name=f'{i:012}.png', segments_info=infos))
    categories = [dict(id=1, name='person', isthing=1), dict(id=2, name='bicycle', isthing=1),
                  dict(id=200, name='rug-merged', isthing=0)]
    path = folder / 'panoptic.json'
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return path


METAINFO = dict(classes=('person', 'bicycle', 'rug-merged'), thing_classes=('person', 'bicycle'), stuff_classes=('rug-merged',),
                palette=[(1, 1, 1)] * 3)


def ours(ann_file: Path, size: tuple[int, int]):
    from mmxf.registry import DATASETS

    return DATASETS.build(dict(
        type='PanopticDataset', metainfo=METAINFO, ann_file=str(ann_file),
        data_prefix=dict(img=str(ann_file.parent / 'img'), seg=str(ann_file.parent / 'seg')),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPanopticSegments'),
                  dict(type='LargeScaleJitter', size=size, scale_range=(0.1, 2.0)), dict(type='RandomFlip', prob=0.5),
                  dict(type='PadToSize', size=size), dict(type='PackPanopticInputs', mask_stride=4)]))


def mmdets(ann_file: Path, size: tuple[int, int]):
    from mmdet.registry import DATASETS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    if importlib.util.find_spec('panopticapi') is None:    # mmdet needs one line of it
        package, utils = types.ModuleType('panopticapi'), types.ModuleType('panopticapi.utils')
        utils.rgb2id = lambda rgb: rgb[..., 0].astype(np.int32) + 256 * rgb[..., 1].astype(np.int32) + 65536 * rgb[..., 2].astype(
            np.int32)
        package.utils = utils
        sys.modules.update({'panopticapi': package, 'panopticapi.utils': utils})
    return DATASETS.build(dict(
        type='mmdet.CocoPanopticDataset', metainfo=METAINFO, ann_file=str(ann_file),
        data_prefix=dict(img=str(ann_file.parent / 'img'), seg=str(ann_file.parent / 'seg')),
        pipeline=[dict(type='mmdet.LoadImageFromFile', to_float32=True),
                  dict(type='mmdet.LoadPanopticAnnotations', with_bbox=True, with_mask=True, with_seg=True),
                  dict(type='mmdet.RandomFlip', prob=0.5),
                  dict(type='mmdet.RandomResize', scale=size[::-1], ratio_range=(0.1, 2.0), resize_type='mmdet.Resize',
                       keep_ratio=True),
                  dict(type='mmdet.RandomCrop', crop_size=size, crop_type='absolute', recompute_bbox=True,
                       allow_negative_crop=True),
                  dict(type='mmdet.PackDetInputs')]))


def seconds(dataset, seed: int) -> float:
    """CPU seconds for all images once: other programs on the machine do not count."""
    np.random.seed(seed)
    start = time.process_time()
    for index in range(len(dataset)):
        dataset[index]
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=int, default=24)
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--size', type=int, default=1024)
    args = parser.parse_args()
    import torch

    import mmxf.registry  # noqa: F401

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    with tempfile.TemporaryDirectory() as folder:
        ann_file = write_images(Path(folder), args.images)
        sides = dict(mmxf=ours(ann_file, (args.size, args.size)), mmdet=mmdets(ann_file, (args.size, args.size)))
        times: dict[str, list[float]] = {name: [] for name in sides}
        for run in range(args.runs + 1):    # the first is a warm-up
            for name, dataset in sides.items():
                spent = seconds(dataset, run)
                if run:
                    times[name].append(spent)
    rates = {name: args.images / statistics.median(values) for name, values in times.items()}
    print(f'{args.images} images of 640 x 480, crop {args.size}, {args.runs} runs in turn, CPU time of one core')
    for name, rate in rates.items():
        print(f'  {name:<6} {rate:7.1f} images/s   ({1e3 / rate:.1f} ms an image)')
    print(f'  ratio  {rates["mmxf"] / rates["mmdet"]:7.2f}')


if __name__ == '__main__':
    main()
