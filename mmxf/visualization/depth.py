"""Pictures of depth: colours with a bar in metres, errors, and point clouds.

Depth maps are (H, W) metres; 0, negative and not finite values are unknown and drawn grey.
"""
from pathlib import Path

import cv2
import numpy as np

from .sheet import INK, PAPER, side_by_side
from .text import Writer

UNKNOWN = (128, 128, 132)
COLORMAPS = {'turbo': cv2.COLORMAP_TURBO, 'viridis': cv2.COLORMAP_VIRIDIS, 'magma': cv2.COLORMAP_MAGMA, 'jet': cv2.COLORMAP_JET}


def known_depth(depth: np.ndarray) -> np.ndarray:
    """(H, W) bool."""
    return np.isfinite(depth) & (depth > 0)


def enlarged(pixels: np.ndarray, min_side: int = 200) -> np.ndarray:
    """A map or picture (H, W, ...), its pixels repeated until the shorter side has `min_side` and a bar fits beside it."""
    factor = -(-min_side // min(pixels.shape[:2]))
    return pixels if factor <= 1 else pixels.repeat(factor, 0).repeat(factor, 1)


def depth_range(*maps: np.ndarray) -> tuple[float, float]:
    """Nearest and farthest known depth of maps, without the 1 % at either end, so that a stray pixel takes no colours."""
    values = np.concatenate([depth[known_depth(depth)] for depth in maps])
    if not values.size:
        return 0.0, 1.0
    near, far = (float(v) for v in np.percentile(values, (1, 99)))
    return (near, far) if far > near else (near, near + 1e-3)


def _paint(values: np.ndarray, low: float, high: float, colormap: str) -> np.ndarray:
    if colormap not in COLORMAPS:
        raise ValueError(f'colormap must be one of {", ".join(COLORMAPS)}; got {colormap!r}')
    share = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-12), 0, 1)
    return cv2.applyColorMap((share * 255 + 0.5).astype(np.uint8), COLORMAPS[colormap])[..., ::-1]


def depth_colors(depth: np.ndarray, near: float, far: float, colormap: str = 'turbo') -> np.ndarray:
    """(H, W, 3) uint8 RGB; near depths have the colour map's end (red in 'turbo'), as disparity has it."""
    depth = np.asarray(depth, np.float64)
    picture = np.ascontiguousarray(_paint(-depth, -far, -near, colormap))
    picture[~known_depth(depth)] = UNKNOWN
    return picture


def bar_ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers between the two."""
    rough = (high - low) / 6
    power = 10.0 ** np.floor(np.log10(rough))
    step = min((f * power for f in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - rough))
    first = np.ceil(low / step - 1e-9)
    return [float(k * step) for k in np.arange(first, np.floor(high / step + 1e-9) + 1)]


def with_bar(picture: np.ndarray, low: float, high: float, unit: str, colors) -> np.ndarray:
    """A picture with a bar of its colours and round numbers at its right.

    Args:
        picture: (H, W, 3) uint8 RGB.
        low, high: values at the bar's lower and upper end.
        unit: written after the numbers.
        colors: function of an array of values (rows, 1) to (rows, 1, 3) uint8.
    """
    height = picture.shape[0]
    size = int(np.clip(height / 22, 11, 28))
    left, wide = round(size * 0.9), round(size * 1.1)
    top = round(size * 0.9)
    sheet = np.full((height, left + wide + round(size * 4.6), 3), PAPER, np.uint8)
    rows = height - 2 * top
    if rows > 1:
        sheet[top:top + rows, left:left + wide] = colors(np.linspace(high, low, rows)[:, None])
        writer = Writer(sheet)
        for value in bar_ticks(low, high):
            y = top + (high - value) / (high - low) * (rows - 1)
            writer.box(left + wide, y - 1, round(size * 0.35), 2, INK, 0)
            writer.text(left + wide + size * 0.6, y, f'{value + 0.0:.6g} {unit}', size, INK, bold=False, anchor='lm')
        sheet = writer.image()
    return np.concatenate([picture, sheet], 1)


def draw_depth(depth: np.ndarray, near: float | None = None, far: float | None = None, colormap: str = 'turbo') -> np.ndarray:
    """Depth in colours with a bar in metres, RGB uint8.

    Args:
        depth: (H, W) metres.
        near, far: ends of the colours; by default those of the map.
        colormap: turbo, viridis, magma or jet.
    """
    found = depth_range(depth)
    near, far = found[0] if near is None else near, found[1] if far is None else far
    return with_bar(depth_colors(depth, near, far, colormap), near, far, 'm', lambda v: depth_colors(v, near, far, colormap))


def draw_error(pred: np.ndarray, target: np.ndarray, limit: float = 0.3) -> np.ndarray:
    """Relative errors |pred - target| / target in colours, from 0 to `limit`, with a bar in percent; grey where nothing is known.

    Raises:
        ValueError: for maps of two shapes.
    """
    if pred.shape != target.shape:
        raise ValueError(f'predicted depth is {pred.shape}, true depth {target.shape}')
    known = known_depth(target) & np.isfinite(pred)
    error = np.where(known, np.abs(pred - target) / np.where(known, target, 1), 0)
    picture = np.ascontiguousarray(_paint(error, 0, limit, 'magma'))
    picture[~known] = UNKNOWN
    return with_bar(picture, 0, 100 * limit, '%', lambda v: _paint(v, 0, 100 * limit, 'magma'))


def depth_sheet(image: np.ndarray, pred: np.ndarray, target: np.ndarray | None = None, title: str = '') -> np.ndarray:
    """Image, prediction, and where there is one the true depth in the same colours and the relative error, side by side.

    Args:
        image: (H, W, 3) uint8 RGB. pred, target: (H, W) metres. title: a line above.
    """
    image, pred = enlarged(image), enlarged(pred)
    target = None if target is None else enlarged(target)
    near, far = depth_range(pred if target is None else target)
    panels = [('image', image), ('depth', draw_depth(pred, near, far))]
    if target is not None:
        panels[1:1] = [('true depth', draw_depth(target, near, far))]
        panels.append(('relative error', draw_error(pred, target)))
    return side_by_side(panels, title)


def point_cloud(depth: np.ndarray, image: np.ndarray | None = None, *, intrinsics=None, lens: dict | None = None,
                along_ray: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Points of a depth map in the camera's axes: x right, y down, z ahead.

    Args:
        depth: (H, W) metres.
        image: (H, W, 3) uint8 RGB for the points' colours; None: grey.
        intrinsics: (fx, fy, cx, cy) in pixels of an image with one optical axis; None: a panorama, with depth along the ray.
        lens: of a fisheye, see `mmxf.structures.lenses.camera_rays`.
        along_ray: whether depth with `intrinsics` is along the ray, too, and not along the optical axis.

    Returns:
        points (P, 3) float32 metres and colours (P, 3) uint8 of the pixels whose depth is known, and which a ray meets.
    """
    from mmxf.structures.lenses import camera_rays
    from mmxf.structures.sphere import panorama_directions

    depth = np.asarray(depth, np.float32)
    known = known_depth(depth)
    if intrinsics is None:
        rays = panorama_directions(depth.shape).numpy()
    else:
        rays = camera_rays(depth.shape, intrinsics, lens)
        known &= np.isfinite(rays[..., 2])
        if not along_ray:
            known &= rays[..., 2] > 1e-3        # sideways a coordinate along the axis says nothing
            rays = rays / np.where(known, rays[..., 2], 1)[..., None]
    colors = np.full((*depth.shape, 3), 160, np.uint8) if image is None else image
    if colors.shape[:2] != depth.shape:
        colors = cv2.resize(colors, (depth.shape[1], depth.shape[0]), interpolation=cv2.INTER_AREA)
    return (rays * depth[..., None])[known], colors[known]


def write_ply(path, points: np.ndarray, colors: np.ndarray) -> Path:
    """Writes points (P, 3) and colours (P, 3) uint8 RGB as binary PLY, which MeshLab, CloudCompare and Blender open."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.empty(len(points), np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('r', 'u1'), ('g', 'u1'), ('b', 'u1')]))
    for name, values in zip(('x', 'y', 'z', 'r', 'g', 'b'), (*np.asarray(points).T, *np.asarray(colors).T)):
        rows[name] = values
    head = ['ply', 'format binary_little_endian 1.0', f'element vertex {len(points)}',
            *(f'property float {axis}' for axis in 'xyz'), *(f'property uchar {color}' for color in ('red', 'green', 'blue')),
            'end_header', '']
    path.write_bytes('\n'.join(head).encode() + rows.tobytes())
    return path
