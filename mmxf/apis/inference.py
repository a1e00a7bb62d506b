"""Images through a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmxf.config import UserError


class ImageError(UserError):
    """An image that cannot be read; the message names it."""


def read_image(path) -> np.ndarray:
    """Read an image file as (H, W, 3) uint8 BGR. Raises ImageError for missing, undecodable and truncated
    files.
    """
    import cv2

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f'cannot read {path}: {error.strerror or error}') from None
    if not data:
        raise ImageError(f'{path} is empty (0 bytes)')
    if is_truncated_jpeg(data):
        raise ImageError(f'{path} is truncated: the JPEG data ends early')
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f'{path} is not an image, or is corrupt: it cannot be decoded')
    return image


def is_truncated_jpeg(data: bytes) -> bool:
    """True for a JPEG whose data ends early, which cv2 decodes to a picture with a grey rest and no error."""
    if not data.startswith(b'\xff\xd8') or data.rstrip(b'\0').endswith(b'\xff\xd9'):
        return False
    # No end mark at the end: trailing bytes behind a whole picture, or a picture cut off. Pillow can tell.
    import io

    from PIL import Image

    try:
        Image.open(io.BytesIO(data)).load()
    except (OSError, SyntaxError):
        return True
    return False


def check_array(image: np.ndarray, number: int) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ImageError(f'image {number} is an array of shape {image.shape}; expected (H, W, 3), BGR')
    if image.dtype != np.uint8:
        raise ImageError(f'image {number} is an array of {image.dtype}; expected uint8, 0-255')
    return image


def test_pipeline(cfg):
    """The config's test pipeline as mmengine's Compose, without its steps that load the image or
    annotations.
    """
    from mmengine.dataset import Compose
    from mmengine.registry import DefaultScope

    from .init_model import innermost_dataset

    pipeline = None
    for split in ('test', 'val'):
        outer = (cfg.get(f'{split}_dataloader') or {}).get('dataset') or {}
        # A wrapper that makes samples of its own, such as crops of objects, has the pipeline itself.
        for dataset in (innermost_dataset(outer) or {}, outer):
            pipeline = pipeline or dataset.get('pipeline')
        if pipeline:
            break
    if pipeline is None:
        raise UserError(
            f'{cfg.filename or "the config"} has no test_dataloader.dataset.pipeline to prepare images with'
        )
    kept = [step for step in pipeline if not str(step.get('type', '')).split('.')[-1].startswith('Load')]
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmxf')):
        return Compose(kept)


test_pipeline.__test__ = False  # not a test, whatever pytest reads into its name


def prepare(pipeline, image, number: int) -> dict:
    """One image, a path or BGR array, through the pipeline: dict(inputs, data_samples)."""
    path = None
    if isinstance(image, np.ndarray):
        array = check_array(image, number)
    elif isinstance(image, (str, Path)):
        path = str(image)
        array = read_image(image)
    else:
        raise ImageError(f'image {number} is a {type(image).__name__}; expected a path or a BGR array')
    shape = array.shape[:2]
    # What mmcv's LoadImageFromFile leaves behind.
    return pipeline(
        dict(
            img=array,
            img_path=path,
            img_id=number,
            img_shape=shape,
            ori_shape=shape,
            height=shape[0],
            width=shape[1],
        )
    )


def inference(model, images, batch_size: int = 1):
    """Predict on images with a model of :func:`mmxf.apis.init_model`.

    Args:
        images: a path, an (H, W, 3) uint8 BGR array, or a sequence of them.
        batch_size: images a forward pass.

    Returns:
        A DetDataSample, or a list of them in the order of ``images``. ``pred_panoptic_seg.sem_seg`` is (1,
        H, W) at the image's own size: label + instance id * 1000, void = number of classes.

    Raises:
        ImageError: an image cannot be read; the message names it.
    """
    import torch

    single = isinstance(images, (str, Path, np.ndarray))
    images = [images] if single else list(images)
    pipeline = getattr(model, '_test_pipeline', None)
    if pipeline is None:
        pipeline = model._test_pipeline = test_pipeline(model.cfg)
    samples: list = []
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(images), batch_size):
            batch: Sequence[dict] = [
                prepare(pipeline, image, start + i)
                for i, image in enumerate(images[start : start + batch_size])
            ]
            with torch.no_grad():
                samples += model.test_step(
                    dict(
                        inputs=[item['inputs'] for item in batch],
                        data_samples=[item['data_samples'] for item in batch],
                    )
                )
    finally:
        model.train(was_training)
    return samples[0] if single else samples
