"""Images with depth: loading, resizing, turning panoramas, packing."""
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement, PixelData

from mmxf.registry import TRANSFORMS
from mmxf.structures.lenses import camera_rays

from .geometry import check_size
from .pixels import contiguous

META_KEYS = ('img_id', 'img_path', 'depth_path', 'ori_shape', 'img_shape', 'intrinsics', 'lens', 'along_ray', 'panorama', 'flip',
             'shift')
MIN_AHEAD = 1e-3    # cosine of a ray's angle with the optical axis below which a coordinate along the axis says nothing
_INTERPOLATION = {'area': cv2.INTER_AREA, 'nearest': cv2.INTER_NEAREST_EXACT, 'linear': cv2.INTER_LINEAR}


class DepthFileError(ValueError):
    """A depth map that cannot be used; the message names the file and says what to do."""


def read_depth(path, scale: float | None) -> np.ndarray:
    """A depth map in metres, (H, W) float32; 0 where nothing is known.

    Args:
        path: a 16-bit PNG of one channel, an EXR (its red channel), or a .npy, in units of 1 / `scale` metres.
        scale: units a metre, for instance 1000 for millimetres; EXR and .npy in floating point may leave it out: metres.

    Raises:
        DepthFileError: the file is absent, cannot be decoded, is of another kind, or knows no depth at all.
    """
    path = Path(path)
    if not path.is_file():
        raise DepthFileError(f'the depth map {path} does not exist')
    if path.suffix.lower() == '.npy':
        try:
            values = np.load(path, allow_pickle=False)
        except (EOFError, ValueError) as error:
            raise DepthFileError(f'{path} is no .npy file of numbers, or is cut off ({error}); get it again') from error
    else:
        if path.suffix.lower() == '.exr':
            os.environ.setdefault('OPENCV_IO_ENABLE_OPENEXR', '1')     # off by default; these files are the user's own
        data = np.frombuffer(path.read_bytes(), np.uint8)
        values = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if values is None:
            raise DepthFileError(f'{path} cannot be decoded as an image, or is corrupt')
        if values.ndim == 3 and path.suffix.lower() == '.exr':
            values = values[..., 2] if values.shape[2] > 2 else values[..., 0]           # OpenCV gives blue, green, red
    if values.ndim != 2:
        raise DepthFileError(f'{path} has {values.shape[-1]} channels; a depth map has one')
    if values.dtype == np.uint8:
        raise DepthFileError(f'{path} has 8 bits a pixel, too few for depth in metres; expected a 16-bit PNG, an EXR or a .npy')
    if values.dtype.kind in 'iu' and scale is None:
        raise DepthFileError(f'{path} holds whole numbers, and nothing says how many of them are a metre: give depth_scale, for '
                             'instance 1000 for millimetres')
    depth = values.astype(np.float32)
    if scale is not None:
        depth /= np.float32(scale)
    depth[~np.isfinite(depth) | (depth < 0)] = 0
    if not depth.any():
        raise DepthFileError(f'{path} knows no depth: all {depth.size} pixels are zero, negative or not finite')
    return depth


def write_depth(path, depth: np.ndarray, scale: float) -> Path:
    """Writes (H, W) metres as 16-bit PNG of `scale` units a metre; what is unknown or beyond the range becomes 0."""
    units = np.nan_to_num(np.asarray(depth, np.float64), nan=0.0, posinf=0.0, neginf=0.0) * scale
    units = np.where((units < 0) | (units > 65535), 0, np.rint(units)).astype(np.uint16)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode('.png', units)
    if not done:
        raise OSError(f'cannot encode {path}')
    path.write_bytes(data.tobytes())
    return path


@TRANSFORMS.register_module()
class LoadDepth(BaseTransform):
    """Reads ``depth_path`` to ``gt_depth`` (H, W) float32 metres, 0 unknown; ``depth_scale`` and ``panorama`` come from the data
    set."""

    def transform(self, results: dict) -> dict:
        """Adds ``gt_depth``."""
        results['gt_depth'] = read_depth(results['depth_path'], results.get('depth_scale'))
        if results.get('panorama') and results['gt_depth'].shape[1] != 2 * results['gt_depth'].shape[0]:
            height, width = results['gt_depth'].shape
            raise DepthFileError(f'{results["depth_path"]} is {width} x {height}; a panorama is twice as wide as high')
        return results


@TRANSFORMS.register_module()
class ResizeDepth(BaseTransform):
    """Resizes ``img`` and ``gt_depth`` to one size.

    Args:
        size: (height, width).
        depth: 'area', averages over what a pixel covers, unknown zeros counted as OmniFusion does; or 'nearest'.
        image: 'area' or 'linear'.
        resize_depth: False leaves the depth map as it is, as evaluation at the data set's own size wants.
    """

    def __init__(self, size: tuple[int, int], depth: str = 'area', image: str = 'area', resize_depth: bool = True) -> None:
        self.size = check_size(size, 'ResizeDepth')
        if depth not in ('area', 'nearest') or image not in ('area', 'linear'):
            raise ValueError(f"depth must be 'area' or 'nearest', image 'area' or 'linear'; got {depth!r}, {image!r}")
        self.depth, self.image, self.resize_depth = depth, image, resize_depth

    def transform(self, results: dict) -> dict:
        """Changes ``img``, ``gt_depth``, ``img_shape`` and ``intrinsics``."""
        height, width = self.size
        old = results['img'].shape[:2]
        if old != self.size:
            results['img'] = cv2.resize(results['img'], (width, height), interpolation=_INTERPOLATION[self.image])
        depth = results.get('gt_depth')
        if depth is not None and self.resize_depth and depth.shape != self.size:
            results['gt_depth'] = cv2.resize(depth, (width, height), interpolation=_INTERPOLATION[self.depth])
        if results.get('intrinsics') is not None:       # fx, fy, cx, cy
            factor = np.array([width / old[1], height / old[0]] * 2)
            results['intrinsics'] = np.asarray(results['intrinsics'], np.float64) * factor
        results['img_shape'] = self.size
        return results


@TRANSFORMS.register_module()
class LimitDepth(BaseTransform):
    """Forgets depth outside the data set's range (``depth_range``, above the first and up to the second, metres).

    Args:
        depth_range: another range.
    """

    def __init__(self, depth_range: tuple[float, float] | None = None) -> None:
        self.depth_range = depth_range

    def transform(self, results: dict) -> dict:
        """Sets pixels of ``gt_depth`` to 0.

        Raises:
            DepthFileError: when none is left.
        """
        depth = results.get('gt_depth')
        if depth is None:       # inference
            return results
        low, high = self.depth_range or results['depth_range']
        known = (depth > low) & (depth <= high)
        if not known.any():
            raise DepthFileError(f'{results.get("depth_path", "the depth map")} has no depth between {low} and {high} m (it has '
                                 f'{depth[depth > 0].min(initial=np.inf):.3g} to {depth.max():.3g} m): wrong depth_scale?')
        results['gt_depth'] = np.where(known, depth, np.float32(0))
        return results


@TRANSFORMS.register_module()
class DepthAlongRay(BaseTransform):
    """Depth along the optical axis to depth along the ray, which wide angles need; leaves alone what is along the ray already.

    The data set names the camera (`intrinsics`, for a fisheye `lens`). Pixels that no ray of the camera meets, or whose ray goes
    sideways or backwards, become unknown.
    """

    def transform(self, results: dict) -> dict:
        """Changes ``gt_depth`` and ``along_ray``.

        Raises:
            ValueError: when the data set names no camera.
        """
        depth = results.get('gt_depth')
        if depth is None or results.get('along_ray'):
            return results
        if results.get('intrinsics') is None:
            raise ValueError(f'DepthAlongRay: nothing says through which camera {results.get("depth_path")} was seen; give the '
                             'data set intrinsics=(fx, fy, cx, cy), and lens for a fisheye')
        if depth.shape != tuple(results['img'].shape[:2]):
            raise ValueError(f'DepthAlongRay: image and depth are {results["img"].shape[:2]} and {depth.shape}; resize both '
                             'first')
        ahead = camera_rays(depth.shape, results['intrinsics'], results.get('lens'))[..., 2]
        seen = ahead > MIN_AHEAD       # False for NaN
        results['gt_depth'] = np.where(seen, depth / np.where(seen, ahead, 1), 0).astype(np.float32)
        results['along_ray'] = True
        return results


@TRANSFORMS.register_module()
class FlipWithDepth(BaseTransform):
    """Mirrors ``img`` and ``gt_depth`` left to right, at random.

    Args:
        prob: how often.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Changes ``img``, ``gt_depth`` and ``intrinsics``."""
        results['flip'] = bool(np.random.rand() < self.prob)
        if results['flip']:
            for key in ('img', 'gt_depth'):
                if results.get(key) is not None:
                    results[key] = contiguous(results[key][:, ::-1])
            if results.get('intrinsics') is not None:
                fx, fy, cx, cy = results['intrinsics']
                results['intrinsics'] = np.array([fx, fy, results['img'].shape[1] - cx, cy])
            if (results.get('lens') or {}).get('p2'):
                results['lens'] = dict(results['lens'], p2=-results['lens']['p2'])       # of distortions, the one that has a side
        return results


@TRANSFORMS.register_module()
class RollPanorama(BaseTransform):
    """Turns a panorama about the vertical axis, at random.

    Args:
        steps: turns are multiples of a circle's ``steps``-th part; None: of a pixel. OmniFusion turns by quarters.
    """

    def __init__(self, steps: int | None = 4) -> None:
        self.steps = steps

    def transform(self, results: dict) -> dict:
        """Changes ``img`` and ``gt_depth``."""
        width = results['img'].shape[1]
        steps = self.steps or width
        shift = int(np.random.randint(steps)) * width // steps
        results['shift'] = shift
        for key in ('img', 'gt_depth'):
            if shift and results.get(key) is not None:
                if results[key].shape[1] != width:
                    raise ValueError(f'RollPanorama: image and depth are {width} and {results[key].shape[1]} pixels wide; resize '
                                     'them first')
                results[key] = np.roll(results[key], shift, axis=1)
        return results


@TRANSFORMS.register_module()
class PackDepthInputs(BaseTransform):
    """Packs ``inputs`` (3, H, W) uint8, BGR as read, and a data sample with ``gt_depth`` (1, H, W) where there is one."""

    def transform(self, results: dict) -> dict:
        """dict(inputs, data_samples)."""
        sample = BaseDataElement(metainfo={key: results[key] for key in META_KEYS if key in results})
        if results.get('gt_depth') is not None:
            sample.gt_depth = PixelData(data=torch.from_numpy(np.ascontiguousarray(results['gt_depth'], np.float32))[None])
        image = torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))
        return dict(inputs=image, data_samples=sample)
