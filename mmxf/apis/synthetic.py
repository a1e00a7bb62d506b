"""Made-up batches, to measure a model without data."""

from __future__ import annotations

import warnings

import numpy as np

from mmxf.config import UserError

from .init_model import innermost_dataset, open_config


def open_at_size(config, shape: tuple[int, int] | None, options: dict | None = None):
    """Config whose images are ``shape`` (H, W), and that shape.

    The top-level ``image_size`` is set where the config has one; without ``shape`` it is what counts.
    mmdet's padding to a fixed size (``batch_augments``) is taken out, for its size is written into the
    model.
    """
    cfg = open_config(config, options)
    if shape is None:
        size = cfg.get('image_size') or (640, 640)
        shape = (int(size), int(size)) if isinstance(size, (int, float)) else (int(size[0]), int(size[1]))
    elif 'image_size' in cfg:
        with warnings.catch_warnings():
            # In a config without ${image_size}, as mmdet's, the value moves nothing, and need not.
            warnings.simplefilter('ignore')
            cfg = open_config(config, {**(options or {}), 'image_size': tuple(shape)}, check=False)
    for holder in (cfg.get('model', {}).get('data_preprocessor'), cfg.get('data_preprocessor')):
        if holder and 'batch_augments' in holder:
            holder.pop('batch_augments')
    return cfg, tuple(shape)


def mask_stride(cfg) -> int:
    """Every how many pixels the training pipeline takes targets; 4 where it does not say."""
    dataset = innermost_dataset((cfg.get('train_dataloader') or {}).get('dataset')) or {}
    for step in dataset.get('pipeline') or ():
        if str(step.get('type', '')).split('.')[-1] == 'PackPanopticInputs':
            return int(step.get('mask_stride', 4))
    return 4


def segment_cells(shape: tuple[int, int], count: int, rng: np.random.Generator) -> np.ndarray:
    """(H, W) int64 map of ``count`` compact cells, every one with at least a few pixels: nearest of random
    centres.
    """
    height, width = shape
    grid = (-(-height // 4), -(-width // 4))
    centres = rng.permutation(grid[0] * grid[1])[:count]
    cy, cx = np.divmod(centres, grid[1])
    y, x = np.mgrid[: grid[0], : grid[1]]
    cells = ((y[..., None] - cy) ** 2 + (x[..., None] - cx) ** 2).argmin(-1)
    return cells.repeat(4, 0).repeat(4, 1)[:height, :width]


def class_split(model) -> tuple[list[int], list[int]]:
    """Labels of things and of stuff."""
    head = getattr(model, 'panoptic_head', None)
    if head is not None and hasattr(head, 'num_things_classes'):  # mmdet's heads count them
        things = head.num_things_classes
        return list(range(things)), list(range(things, things + head.num_stuff_classes))
    meta = getattr(model, 'dataset_meta', None) or {}
    classes = list(meta.get('classes') or ())
    if not classes:
        raise UserError('the config names no classes: its data set needs metainfo with classes')
    things = set(meta.get('thing_classes') or classes)
    return [i for i, c in enumerate(classes) if c in things], [
        i for i, c in enumerate(classes) if c not in things
    ]


def is_classifier(model) -> bool:
    """Whether a model puts whole images into classes."""
    from mmxf.tasks import ImageClassifier

    return isinstance(model, ImageClassifier)


def synthetic_sample(
    model, cfg, shape: tuple[int, int], rng: np.random.Generator, number: int = 0, segments: int = 20
) -> dict:
    """One made-up training sample, dict(inputs (3, H, W) uint8, data_samples), for our models and mmdet's
    alike.
    """
    import torch
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData, PixelData

    from mmxf.structures.classification import ClassificationSample

    height, width = shape
    image = rng.integers(0, 256, (3, -(-height // 8), -(-width // 8)), dtype=np.uint8)
    image = image.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    if is_classifier(model):
        label = ClassificationSample(gt_label=torch.tensor(int(rng.integers(model.num_classes))))
        return dict(inputs=torch.from_numpy(image.copy()), data_samples=label)
    data = DetDataSample(
        metainfo=dict(
            img_id=number,
            img_path=f'synthetic_{number}.png',
            ori_shape=shape,
            img_shape=shape,
            pad_shape=shape,
            batch_input_shape=shape,
            scale_factor=(1.0, 1.0),
            flip=False,
        )
    )
    things, stuff = class_split(model)
    of_stuff = min(len(stuff), segments // 3 if things else segments)
    # Each stuff class is one segment; of things there may be many.
    labels = np.concatenate([
        rng.permutation(stuff)[:of_stuff],
        rng.choice(things, segments - of_stuff) if things else [],
    ]).astype(np.int64)
    cells = segment_cells(shape, len(labels), rng)
    if type(model).__module__.split('.')[0] == 'mmdet':
        from mmdet.structures.bbox import HorizontalBoxes
        from mmdet.structures.mask import BitmapMasks

        ids = [i for i, label in enumerate(labels) if label in set(things)]
        masks = BitmapMasks([(cells == i).astype(np.uint8) for i in ids], height, width)
        data.gt_instances = InstanceData(
            labels=torch.from_numpy(labels[ids]),
            masks=masks,
            bboxes=HorizontalBoxes(masks.get_bboxes(dst_type='hbox').tensor),
        )
        data.gt_sem_seg = PixelData(sem_seg=torch.from_numpy(labels[cells])[None])
    else:
        stride = mask_stride(cfg)
        data.gt_instances = InstanceData(labels=torch.from_numpy(labels))
        data.gt_panoptic_index = PixelData(data=torch.from_numpy(cells[::stride, ::stride].copy())[None])
    return dict(inputs=torch.from_numpy(image.copy()), data_samples=data)


def synthetic_batch(
    model, cfg, shape: tuple[int, int], batch: int = 1, training: bool = False, seed: int = 0
) -> dict:
    """Made-up batch that has passed the model's data preprocessor: dict(inputs (B, 3, H', W') float,
    data_samples). A lifting model gets windows of poses, whatever the shape.
    """
    if hasattr(model, 'skeleton'):
        from .synthetic_poses import synthetic_pose_batch

        return synthetic_pose_batch(model, batch, training, seed)
    from .synthetic_depth import is_depth_model, synthetic_depth_batch

    if is_depth_model(model):
        return synthetic_depth_batch(model, shape, batch, training, seed)
    rng = np.random.default_rng(seed)
    samples = [synthetic_sample(model, cfg, shape, rng, i) for i in range(batch)]
    return model.data_preprocessor(
        dict(inputs=[s['inputs'] for s in samples], data_samples=[s['data_samples'] for s in samples]),
        training,
    )
