"""Equirectangular panoramas and their tangent images (gnomonic projection).

A panorama (H, W) covers longitudes -pi to pi over its width and latitudes -pi/2 (top row) to pi/2 over its height; the centres of
the outer pixels lie on the ends (the corners are aligned), as in OmniFusion's code. Patches lie in rows of one latitude. Cutting
them out and merging them are linear maps with fixed tables, computed once for each layout, size and device.
"""
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, wraps

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import _disable_current_modes

# rows -> (patches of each row, latitudes of their centres in degrees), as OmniFusion's code.
ROWS = {3: ((3, 4, 3), (-60., 0., 60.)),
        4: ((3, 6, 6, 3), (-67.5, -22.5, 22.5, 67.5)),
        5: ((3, 6, 8, 6, 3), (-72.2, -36.1, 0., 36.1, 72.2)),
        6: ((3, 8, 12, 12, 8, 3), (-75.2, -45.93, -15.72, 15.72, 45.93, 75.2))}
# On the way back the code puts the outer ones of three rows elsewhere.
MERGE_LATITUDES = {3: (-59.6, 0., 59.6)}
MIN_WEIGHT = 1e-5       # of a corner in the merge; smaller ones count as nothing


@dataclass(frozen=True)
class TangentPatches:
    """Where the patches of a panorama lie.

    Args:
        rows: 3, 4, 5 or 6, that is 10, 18, 26 or 46 patches.
        fov: (height, width) of a patch in degrees, or one number.
        true_angle: the tangent plane reaches to tan(fov / 2). Otherwise, as in OmniFusion's code, to fov / 2 in radians, so that
            80 degrees really show 69.84; its checkpoints need that.
        exact_inverse: the way back is the inverse of the way there: both with the same centres and with pixel centres at the
            patch's ends. Otherwise as in OmniFusion's code, where it is off by up to one pixel of a patch.

    Raises:
        ValueError: for another number of rows, or a field of view that is not between 0 and 180 degrees (114 without `true_angle`
            is already 90 wide).
    """
    rows: int = 4
    fov: float | tuple[float, float] = 80.
    true_angle: bool = False
    exact_inverse: bool = False

    def __post_init__(self) -> None:
        if self.rows not in ROWS:
            raise ValueError(f'patches lie in {", ".join(map(str, ROWS))} rows; got rows={self.rows}')
        if not isinstance(self.fov, (int, float)):
            object.__setattr__(self, 'fov', tuple(self.fov))
        if any(not 0 < angle < 180 for angle in self.angles):
            raise ValueError(f'the field of view must lie between 0 and 180 degrees; got fov={self.fov}')

    @property
    def angles(self) -> tuple[float, float]:
        """(height, width) in degrees."""
        return self.fov if isinstance(self.fov, tuple) else (self.fov, self.fov)

    @property
    def extent(self) -> tuple[float, float]:
        """(height, width): half the size of the tangent plane at distance 1."""
        half = torch.deg2rad(torch.tensor(self.angles, dtype=torch.float64)) / 2
        return tuple((half.tan() if self.true_angle else half).tolist())

    @property
    def num_patches(self) -> int:
        """N."""
        return sum(ROWS[self.rows][0])

    def centres(self, merging: bool = False) -> Tensor:
        """(N, 2) longitude and latitude of the centres, radians, float64.

        Args:
            merging: those of the way back.
        """
        counts, latitudes = ROWS[self.rows]
        if merging and not self.exact_inverse:
            latitudes = MERGE_LATITUDES.get(self.rows, latitudes)
        points = [((column + 0.5) / count * 360 - 180, latitude)
                  for count, latitude in zip(counts, latitudes) for column in range(count)]
        return torch.deg2rad(torch.tensor(points, dtype=torch.float64))

    def project(self, panorama: Tensor, patch_size: int | tuple[int, int]) -> Tensor:
        """Cuts patches out of panoramas: (B, C, H, W) to (B, N, C, h, w); bilinear, not across the seam.

        Half precision, whose coordinates would be off by pixels, is sampled in float32 and returned in its own type.
        """
        h, w = _pair(patch_size)
        dtype = _table_dtype(panorama)
        grid = sampling_grid(self, (h, w), panorama.device, dtype)                                # (N, h, w, 2)
        with torch.autocast(panorama.device.type, enabled=False):
            patches = F.grid_sample(panorama.to(dtype), grid.reshape(1, -1, w, 2).expand(panorama.shape[0], -1, -1, -1),
                                    mode='bilinear', padding_mode='border', align_corners=True).to(panorama.dtype)
        return patches.unflatten(2, (self.num_patches, h)).transpose(1, 2)

    def merge(self, patches: Tensor, size: tuple[int, int]) -> Tensor:
        """Puts patches together: (B, N, C, h, w) to (B, C, H, W), each pixel the weighted mean of the patches that show it.

        Pixels that no patch shows are 0. Half precision is computed and returned in float32.

        Raises:
            ValueError: if there are not N patches.
        """
        B, N, C, h, w = patches.shape
        if N != self.num_patches:
            raise ValueError(f'{self.rows} rows have {self.num_patches} patches, got {N}')
        table = merge_table(self, (h, w), tuple(size), patches.device, _table_dtype(patches))
        with torch.autocast(patches.device.type, enabled=False):
            values = patches.to(_table_dtype(patches))
            pixels = values.permute(1, 3, 4, 0, 2).reshape(N * h * w, B * C)
            # Exported files know no gradients, and no functions that bring their own.
            merged = table.scatter(pixels) if torch.compiler.is_compiling() else _WeightedSums.apply(pixels, table)
        return merged.t().reshape(B, C, *size)

    def coverage(self, patch_size: int | tuple[int, int], size: tuple[int, int], device='cpu') -> Tensor:
        """(H, W) bool: which pixels of a merged panorama some patch shows."""
        return (merge_table(self, _pair(patch_size), tuple(size), torch.device(device)).offsets.diff() > 0).view(size)

    def directions(self, patch_size: int | tuple[int, int], device='cpu', dtype: torch.dtype = torch.float32) -> Tensor:
        """(N, 3, h, w) unit vectors of the patches' pixels: x, y over the equator, z along the latitude (down in the image)."""
        return patch_directions(self, _pair(patch_size), torch.device(device), dtype)

    def ray_lengths(self, patch_size: int | tuple[int, int], device='cpu') -> Tensor:
        """(h, w) lengths of the pixels' rays to the tangent plane at distance 1: what turns depth along the optical axis into
        depth along the ray."""
        y, x = (torch.linspace(-extent, extent, count, device=device) for count, extent in zip(_pair(patch_size), self.extent))
        return torch.sqrt(1 + x[None, :] ** 2 + y[:, None] ** 2)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _table_dtype(values: Tensor) -> torch.dtype:
    """Of tables that are applied to values: float64 for float64, otherwise float32."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def _table(function: Callable) -> Callable:
    """Keeps what a function made of its arguments. When a model is traced for export, too, tables are numbers, not steps."""
    @lru_cache(maxsize=32)
    @wraps(function)
    def made(*args):
        # Tensors made in inference mode could not be used in training later.
        plain = torch.inference_mode(False) if torch.is_inference_mode_enabled() else nullcontext()
        with _disable_current_modes(), plain:
            return function(*args)
    return made


def unit_vectors(lonlat: Tensor) -> Tensor:
    """(..., 2) longitude and latitude in radians to (..., 3): cos lat sin lon, cos lat cos lon, sin lat."""
    lon, lat = lonlat.unbind(-1)
    return torch.stack([lat.cos() * lon.sin(), lat.cos() * lon.cos(), lat.sin()], -1)


def panorama_directions(size: tuple[int, int], device='cpu', align_corners: bool = False) -> Tensor:
    """(H, W, 3) unit vectors of a panorama's pixels: x right of the middle, y down, z ahead (OpenCV's camera axes).

    Args:
        size: (H, W).
        device: of the result.
        align_corners: whether the outer pixels' centres lie on the ends of the angles' range, or half a pixel inside.
    """
    def angles(count: int, half: float) -> Tensor:
        steps = torch.arange(count, dtype=torch.float64, device=device)
        return ((steps / max(count - 1, 1) if align_corners else (steps + 0.5) / count) * 2 - 1) * half

    lat, lon = torch.meshgrid(angles(size[0], torch.pi / 2), angles(size[1], torch.pi), indexing='ij')
    x, z, y = unit_vectors(torch.stack([lon, lat], -1)).unbind(-1)
    return torch.stack([x, y, z], -1).float()


def _patch_angles(layout: TangentPatches, patch_size: tuple[int, int]) -> Tensor:
    """(N, h, w, 2) longitude (perhaps beyond pi) and latitude of the patches' pixels, radians, float64."""
    axes = [torch.linspace(-1, 1, count, dtype=torch.float64) * extent for count, extent in zip(patch_size, layout.extent)]
    y, x = torch.meshgrid(*axes, indexing='ij')
    lon, lat = (a[:, None, None] for a in layout.centres().unbind(-1))
    # The usual formulas divide by the radius, which is 0 in the middle of a patch; without it nothing is lost.
    sine = (lat.sin() + y * lat.cos()) / torch.sqrt(1 + x * x + y * y)
    return torch.stack([lon + torch.atan2(x.expand_as(sine), lat.cos() - y * lat.sin()), sine.clamp(-1, 1).asin()], -1)


@_table
def sampling_grid(layout: TangentPatches, patch_size: tuple[int, int], device: torch.device,
                  dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, h, w, 2) x and y for `grid_sample` with aligned corners, in -1 to 1."""
    lon, lat = _patch_angles(layout, patch_size).unbind(-1)
    lon = lon / torch.pi
    lon = torch.where(lon > 1, lon - 2, torch.where(lon < -1, lon + 2, lon))
    return torch.stack([lon, lat / (torch.pi / 2)], -1).to(dtype).to(device)


@_table
def patch_directions(layout: TangentPatches, patch_size: tuple[int, int], device: torch.device,
                     dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, 3, h, w), see `TangentPatches.directions`."""
    return unit_vectors(_patch_angles(layout, patch_size)).permute(0, 3, 1, 2).to(dtype).contiguous().to(device)


@dataclass(eq=False)
class MergeTable:
    """A sparse matrix from P = N h w patch pixels to H W panorama pixels, rows that sum to 1 or are empty.

    Args:
        index: (E,) int32, patch pixel of each entry, panorama pixel by panorama pixel.
        offsets: (H W + 1,) int32, where each panorama pixel's entries begin.
        weight: (E,) float32 or float64.
        columns: P.
    """
    index: Tensor
    offsets: Tensor
    weight: Tensor
    columns: int

    _transposed: 'MergeTable | None' = None
    _rows: Tensor | None = None

    def transposed(self) -> 'MergeTable':
        """The matrix of the backward pass; made when first asked for."""
        if self._transposed is None:
            order = torch.argsort(self.index, stable=True)
            self._transposed = MergeTable(self.rows()[order].int(), _offsets(self.index.long(), self.columns), self.weight[order],
                                          len(self.offsets) - 1)
        return self._transposed

    def rows(self) -> Tensor:
        """(E,) int64, panorama pixel of each entry."""
        return torch.repeat_interleave(self.offsets.diff().long())

    def scatter(self, values: Tensor) -> Tensor:
        """`apply` in operations that exported files have; ONNX would say embedding bags as a loop over pixels."""
        if self._rows is None:
            with _disable_current_modes():      # a number of the file, not a step of it
                self._rows = self.rows()
        sums = values.new_zeros(len(self.offsets) - 1, values.shape[1])
        return sums.index_add(0, self._rows, values[self.index.long()] * self.weight.to(values.dtype)[:, None])

    def apply(self, values: Tensor) -> Tensor:
        """(P, C) to (H W, C)."""
        return F.embedding_bag(self.index, values, self.offsets, mode='sum', per_sample_weights=self.weight.to(values.dtype),
                               include_last_offset=True)


class _WeightedSums(torch.autograd.Function):
    """`MergeTable.apply` whose backward pass is a sum over a table, too, in place of scattered additions."""

    @staticmethod
    def forward(ctx, values: Tensor, table: MergeTable) -> Tensor:
        ctx.table = table
        return table.apply(values)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.table.transposed().apply(grad.contiguous()), None


def _offsets(rows: Tensor, count: int) -> Tensor:
    """(count + 1,) int32 from row numbers of entries."""
    return F.pad(torch.bincount(rows, minlength=count).cumsum(0), (1, 0)).int()


def _visible(layout: TangentPatches, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pairs (patch, panorama pixel) that meet: pixel, patch, and where on the tangent plane, -1 to 1 in x and y; float64."""
    centre_lon, centre_lat = layout.centres(merging=True).unbind(-1)
    lat, lon = (torch.linspace(-half, half, count, dtype=torch.float64) for half, count in zip((torch.pi / 2, torch.pi), size))
    extent_y, extent_x = layout.extent
    # A patch lies within a circle; only pixels in it are looked at more closely.
    reach = 1 / (1 + extent_x ** 2 + extent_y ** 2) ** 0.5 - 1e-4
    turn = (lon - centre_lon[:, None]).cos()                                                        # (N, W)
    cosine = torch.addcmul((centre_lat.sin()[:, None] * lat.sin())[..., None].float(),
                           (centre_lat.cos()[:, None] * lat.cos())[..., None].float(), turn[:, None].float())
    pixel, patch = (cosine > reach).flatten(1).t().nonzero().unbind(-1)        # pixel by pixel, patches in order
    del cosine
    row, column = pixel // size[1], pixel % size[1]
    lat, delta, middle = lat[row], lon[column] - centre_lon[patch], centre_lat[patch]
    ahead = middle.sin() * lat.sin() + middle.cos() * lat.cos() * delta.cos()
    x = lat.cos() * delta.sin() / ahead / extent_x
    y = (middle.cos() * lat.sin() - middle.sin() * lat.cos() * delta.cos()) / ahead / extent_y
    return pixel, patch, x, y


@_table
def merge_table(layout: TangentPatches, patch_size: tuple[int, int], size: tuple[int, int], device: torch.device,
                dtype: torch.dtype = torch.float32) -> MergeTable:
    """Weights of the four corners of each patch that shows a pixel, scaled to sum 1; corners below `MIN_WEIGHT` are left out."""
    h, w = patch_size
    pixel, patch, x, y = _visible(layout, size)
    if layout.exact_inverse:
        x, y = (x + 1) / 2 * (w - 1), (y + 1) / 2 * (h - 1)
        inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    else:
        x, y = (x + 1) / 2 * w, (y + 1) / 2 * h
        inside = (x > 0) & (x < w) & (y > 0) & (y < h)
    pixel, patch, x, y = (a[inside] for a in (pixel, patch, x, y))
    left, top = x.floor(), y.floor()
    # Beyond the last pixel both corners are that pixel; as officially, only the second then has a positive weight.
    right, bottom = (left + 1).clamp(max=w - 1), (top + 1).clamp(max=h - 1)
    if layout.exact_inverse:
        fx, fy = (left + 1 - x, x - left), (top + 1 - y, y - top)
    else:
        fx, fy = (right - x, x - left), (bottom - y, y - top)
    weight = torch.stack([fx[i] * fy[j] for i in (0, 1) for j in (0, 1)], -1)                       # (E, 4)
    corner = torch.stack([(patch * h + v) * w + u for u in (left, right) for v in (top, bottom)], -1)
    weight *= weight > MIN_WEIGHT
    rows = pixel[:, None].expand(-1, 4)
    total = torch.zeros(size[0] * size[1], dtype=torch.float64).index_add_(0, pixel, weight.sum(-1))
    kept = weight > 0
    weight = (weight / total[pixel][:, None])[kept].to(dtype)
    rows, corner = rows[kept], corner[kept]
    return MergeTable(corner.int().to(device), _offsets(rows, size[0] * size[1]).to(device), weight.to(device),
                      layout.num_patches * h * w)
