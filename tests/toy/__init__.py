"""A tiny model and tiny data for the tests of tools and apis."""

from pathlib import Path

import cv2
import numpy as np

CLASSES = ('ball', 'box', 'floor')

CONFIG = """
default_scope = 'mmxf'
custom_imports = dict(imports=['toy.toy_segmentor'])
image_size = (48, 64)
classes = ('ball', 'box', 'floor')
metainfo = dict(classes=classes, thing_classes=('ball', 'box'), stuff_classes=('floor', ),
                palette=[(200, 30, 30), (30, 30, 200), (90, 160, 90)])
model = dict(type='ToySegmentor', num_classes='${num_classes}',
             data_preprocessor=dict(type='ImgDataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3,
                                    bgr_to_rgb=True, pad_size_divisor=16))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
train_cfg = dict(by_epoch=False, max_iters=2)
train_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PanopticDataset', metainfo=metainfo, ann_file='DATA/panoptic.json',
                 data_prefix=dict(img='DATA/images', seg='DATA/panoptic'),
                 pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPanopticSegments'),
                           dict(type='PackPanopticInputs', mask_stride=4)]))
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackPanopticInputs')]
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='PanopticDataset', metainfo=metainfo, ann_file='DATA/panoptic.json', test_mode=True,
                 data_prefix=dict(img='DATA/images', seg='DATA/panoptic'), pipeline=test_pipeline))
test_cfg = dict(type='TestLoop')
test_evaluator = []
"""


def toy_scene(height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """BGR picture and (H, W) segment ids: floor 7, two balls 300 and 70000, a void corner 0."""
    rng = np.random.default_rng(0)
    image = rng.integers(90, 120, (height, width, 3), dtype=np.uint8)
    ids = np.full((height, width), 7)
    y, x = np.mgrid[:height, :width]
    for segment, (cy, cx), color in ((300, (16, 16), (40, 40, 220)), (70000, (28, 44), (60, 160, 240))):
        inside = (y - cy) ** 2 + (x - cx) ** 2 < 100
        ids[inside] = segment
        image[inside] = color
    ids[:6, -10:] = 0
    return image, ids


def write_toy(folder: Path) -> Path:
    """Write two images in COCO's panoptic format and the toy's config below ``folder``; returns the
    config.
    """
    import json

    images, annotations = [], []
    for i, name in enumerate(('first', 'second')):
        image, ids = toy_scene()
        for sub, array, suffix in (
            ('images', image, 'jpg'),
            ('panoptic', np.stack([ids // 65536, ids // 256 % 256, ids % 256], -1).astype(np.uint8), 'png'),
        ):
            (folder / sub).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / sub / f'{name}.{suffix}'), array)
        images.append(dict(id=i, file_name=f'{name}.jpg', height=48, width=64))
        annotations.append(
            dict(
                image_id=i,
                file_name=f'{name}.png',
                segments_info=[
                    dict(id=s, category_id=c, iscrowd=0, area=int((ids == s).sum()), bbox=[0, 0, 1, 1])
                    for s, c in ((7, 30), (300, 10), (70000, 10))
                ],
            )
        )
    categories = [
        dict(id=10 * (i + 1), name=name, isthing=int(name != 'floor')) for i, name in enumerate(CLASSES)
    ]
    (folder / 'panoptic.json').write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories))
    )
    config = folder / 'toy.py'
    config.write_text(CONFIG.replace('DATA', folder.as_posix()))
    return config
