"""Weights, images, targets and noise for parity tests, generated from names and seeds alone.

The reference numbers under ``tests/parity/<paper>/`` were made by running the official code on what these
functions return; the tests feed the same arrays to our code. Nothing here reads a file or imports torch, and
every array depends only on the arguments (numpy's PCG64 streams and IEEE arithmetic), so that both sides see
the same bits.

Weights are named as in the official state dict. Plain random weights make a degenerate network: features
behind GELU share a large common component, so nearly every pixel falls to the same few queries and the
comparison proves little. The rules below therefore remove the mean over the inputs of every convolution (the
common component cancels) and set a few gains by name.
"""

from __future__ import annotations

import re
import zlib

import numpy as np

# (pattern over the official name, gain): the tensor is multiplied by the gain.
_GAINS: tuple[tuple[str, float], ...] = (
    # Residual updates of the queries stay smaller than the queries, which keeps the clusters apart.
    (r'_kmeans_query_conv3_bn\.norm\.weight$', 0.5),
    (r'_query_conv3_bn\.norm\.weight$', 0.3),
    (r'_query_ffn_conv2_bn\.norm\.weight$', 0.3),
    # Small residual branches and soft attention: otherwise the network is chaotic, rounding errors grow.
    (r'^backbone\.res\d\.\d+\.conv3\.norm\.weight$', 0.2),
    (r'pixel_decoder\..*\._conv3_bn\.norm\.weight$', 0.2),
    (r'_batch_norm_similarity\.weight$', 0.4),
    (r'_batch_norm_similarity\.running_var$', 5.0),
    # Cluster sums grow with the number of pixels of a cluster.
    (r'layers\.[01]\._kmeans_query_batch_norm_retrieved_value\.running_var$', 100.0),
    (r'layers\.[23]\._kmeans_query_batch_norm_retrieved_value\.running_var$', 300.0),
    (r'layers\.[45]\._kmeans_query_batch_norm_retrieved_value\.running_var$', 1000.0),
    # Pixel features keep little in common.
    (r'_predcitor\._pixel_space_head_\w+\.(norm|conv)\.(bias|running_mean)$', 0.3),
    # Confident classes and sharp masks.
    (r'_transformer_class_head\.conv\.weight$', 3.0),
    (r'predictor\._predcitor\._transformer_class_head\.conv\.weight$', 2.0),
    (r'predictor\._predcitor\._pixel_space_mask_batch_norm\.weight$', 4.0),
)


def _rng(name: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), seed]))


def generate(name: str, shape: tuple[int, ...], dtype=np.float32, seed: int = 0) -> np.ndarray:
    """Weights of one entry of an official state dict.

    Args:
        name: official key, e.g. ``'backbone.stem.conv1.weight'``.
        shape: shape of the entry.
        dtype: floating type of the result (``num_batches_tracked`` is always int64).
        seed: another seed gives another, equally well-behaved network.

    Returns:
        Array of ``shape``. Values are drawn in float64 and rounded to float32 first, so float64 weights are
        the float32 ones exactly.
    """
    shape = tuple(int(n) for n in shape)
    rng = _rng(name, seed)
    leaf = name.rsplit('.', 1)[-1]
    if leaf == 'num_batches_tracked':
        return np.zeros(shape, np.int64)
    if leaf == 'running_mean':
        out = 0.05 * rng.standard_normal(shape)
    elif leaf == 'running_var':
        out = rng.uniform(0.5, 1.5, shape)
    elif leaf == 'gamma':  # ConvNeXt's layer scale
        out = 0.1 * (1 + 0.1 * rng.standard_normal(shape))
    elif leaf == 'bias':
        out = 0.05 * rng.standard_normal(shape)
    elif leaf == 'weight' and len(shape) == 1:  # norms
        out = 1 + 0.1 * rng.standard_normal(shape)
    elif '_rpe.' in name:
        out = 0.3 * rng.standard_normal(shape)
    elif '_cluster_centers' in name:
        out = rng.standard_normal(shape)
    else:  # convolutions and linear layers, (out, in / groups, *kernel)
        fan_in = int(np.prod(shape[1:]))
        out = rng.standard_normal(shape)
        axes = tuple(range(1, len(shape)))
        if shape[1] > 1:
            out -= out.mean(axis=axes, keepdims=True)
        elif '_pixel_space_head_conv0bnact' in name:
            # Depthwise: part of the mean stays, since flat areas must differ too.
            out -= 0.7 * out.mean(axis=axes, keepdims=True)
        out *= np.sqrt(2.0 / fan_in)
    if name.endswith('_transformer_class_head.conv.bias'):  # takes back most of the prior towards void
        out[-1] -= 6.0
    for pattern, gain in _GAINS:
        if re.search(pattern, name):
            out = out * gain
    return np.asarray(out).astype(np.float32).astype(dtype)


def image(seed: int, height: int, width: int) -> np.ndarray:
    """A smooth random picture with a few hard edges: (H, W, 3) uint8, RGB, values over the whole range."""
    rng = _rng('image', seed)
    y = np.linspace(0.0, 1.0, height)[:, None]
    x = np.linspace(0.0, 1.0, width)[None, :]
    out = np.zeros((height, width, 3))
    for channel in range(3):
        for wave in range(16):
            frequency = rng.uniform(-12.0, 12.0, 2) * (1, 2, 4, 8)[wave % 4]
            phase, amplitude = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.3, 1.0)
            angle = np.pi * (frequency[0] * y + frequency[1] * x) + phase
            out[..., channel] += amplitude * np.sin(angle)
    for _ in range(24):
        top, left = rng.uniform(-0.1, 0.9, 2)
        size = rng.uniform(0.08, 0.35, 2)
        inside = (y >= top) & (y < top + size[0]) & (x >= left) & (x < left + size[1])
        out += inside[..., None] * rng.uniform(-3.0, 3.0, 3)
    out += 0.5 * rng.standard_normal(out.shape)
    # Rounding to sixteenths before the cast keeps the last bits of sin() from deciding a pixel's value.
    return np.clip(np.rint(np.round(out * 16) * (30 / 16) + 127.5), 0, 255).astype(np.uint8)


def targets(
    seed: int, height: int, width: int, num_classes: int, num_segments: int = 12, void: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Panoptic ground truth at the size of the masks: cells, two void rectangles, void specks.

    Args:
        seed: the stream.
        height: rows of the map.
        width: columns of the map.
        num_classes: labels are drawn from ``0 .. num_classes - 1``; those of the first half may repeat, the
            others go to one segment at most, as things and stuff do.
        num_segments: wished number of segments; those without a pixel are dropped.
        void: probability of a single pixel to be void, besides the rectangles.

    Returns:
        index: (height, width) int64, the segment that owns the pixel, -1 for void.
        labels: (N,) int64, the segments' classes; every segment owns at least one pixel.
    """
    rng = _rng('targets', seed)
    y, x = np.mgrid[:height, :width]
    centres = rng.uniform(0, 1, (num_segments, 2)) * (height, width)
    # Segments of very different areas, so that sampling by inverse area matters.
    weight = rng.uniform(0.3, 3.0, num_segments)
    distance = (y[..., None] - centres[:, 0]) ** 2 + (x[..., None] - centres[:, 1]) ** 2
    index = np.argmin(distance * weight, axis=-1)
    for _ in range(2):
        top, left = rng.uniform(0, 0.8, 2) * (height, width)
        index[int(top) : int(top + 0.2 * height), int(left) : int(left + 0.2 * width)] = -1
    index[rng.uniform(0, 1, index.shape) < void] = -1
    kept = np.unique(index[index >= 0])
    renumber = np.full(num_segments + 1, -1)
    renumber[kept] = np.arange(len(kept))
    index = renumber[index]
    stuff = list(rng.permutation(np.arange(num_classes // 2, num_classes)))
    labels = np.zeros(len(kept), np.int64)
    for segment in range(len(kept)):
        take_stuff = stuff and rng.uniform() < 0.5
        labels[segment] = stuff.pop() if take_stuff else rng.integers(0, num_classes // 2)
    return index.astype(np.int64), labels


def noise(name: str, shape: tuple[int, ...], dtype=np.float32, seed: int = 0) -> np.ndarray:
    """Uniform noise in the open interval (0, 1), in place of a random draw of the code under test.

    Args:
        name: which draw it stands for, e.g. ``'pixel_insdis_3'``.
        shape: shape of the draw.
        dtype: floating type; the values are float32 ones in any case.
        seed: the stream.
    """
    out = _rng('noise.' + name, seed).uniform(1e-6, 1 - 1e-6, shape)
    return out.astype(np.float32).astype(dtype)


def training_sample(
    seed: int, height: int, width: int, num_classes: int, real_rows: int | None = None, stride: int = 4
) -> dict[str, np.ndarray]:
    """A training image with its targets.

    Args:
        seed: the stream, of the image and of the targets.
        height: rows of the image, padding included.
        width: columns of the image.
        num_classes: see :func:`targets`.
        real_rows: rows from here on are padding (void in the targets); None means no padding.
        stride: the targets' stride, taken at ``[::stride, ::stride]``.

    Returns:
        ``image`` (height, width, 3) uint8 RGB (not blanked in the padding: the mask must do that), ``real``
        (height, width) bool, ``index`` (h, w) and ``labels`` (N,) as :func:`targets` returns them.
    """
    real = np.ones((height, width), bool)
    real[height if real_rows is None else real_rows :] = False
    at_stride = real[::stride, ::stride]
    index, labels = targets(seed, *at_stride.shape, num_classes)
    index[~at_stride] = -1
    kept = np.unique(index[index >= 0])
    renumber = np.full(len(labels) + 1, -1)
    renumber[kept] = np.arange(len(kept))
    picture = image(seed, height, width)
    return {'image': picture, 'real': real, 'index': renumber[index], 'labels': labels[kept]}


def prediction(seed: int, num_queries: int, num_classes: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits as a trained network gives them: some dozens of confident queries, the others void.

    Returns:
        class_logits: (num_queries, num_classes + 1) float32, void last.
        mask_logits: (num_queries, height, width) float32.
    """
    rng = _rng('prediction', seed)
    y = np.linspace(0, 1, height)[:, None]
    x = np.linspace(0, 1, width)[None, :]
    class_logits = rng.standard_normal((num_queries, num_classes + 1))
    mask_logits = rng.standard_normal((num_queries, 1, 1)) - 4
    mask_logits = mask_logits + 0.3 * rng.standard_normal((num_queries, height, width))
    confident = rng.permutation(num_queries)[: num_queries // 3]
    class_logits[:, -1] += 8
    for query in confident:
        top, left = rng.uniform(0, 1, 2)
        spread = rng.uniform(0.04, 0.25)
        bump = np.exp(-((y - top) ** 2 + (x - left) ** 2) / spread**2)
        mask_logits[query] += rng.uniform(6, 12) * bump
        # Few distinct classes, so that stuff of one class meets and must be merged.
        label = rng.integers(0, num_classes) if rng.uniform() < 0.5 else num_classes - 1 - rng.integers(0, 6)
        class_logits[query, label] += rng.uniform(7, 16)
    return class_logits.astype(np.float32), mask_logits.astype(np.float32)


def subset(array: np.ndarray, count: int = 2048) -> np.ndarray:
    """Every n-th value of the flattened array, n odd, at least ``count`` values where there are as many."""
    flat = np.asarray(array).reshape(-1)
    step = max(1, flat.size // count)
    step -= step % 2 == 0
    return flat[::step]
