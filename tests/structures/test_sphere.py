"""Tangent images: against the official code's numbers (tests/parity/omnifusion/README.md), plain loops and by hand."""
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmxf.structures.sphere import TangentPatches, merge_table, panorama_directions, sampling_grid

PARITY = Path(__file__).resolve().parents[1] / 'parity'
sys.path.insert(0, str(PARITY))
import weights  # noqa: E402

CASES = [(rows, patch) for rows in (3, 4, 5, 6) for patch in (32, 24)] + [(4, 128)]
SIZES = {32: (64, 128), 24: (51, 77), 128: (512, 1024)}


@pytest.fixture(scope='module')
def numbers():
    with np.load(PARITY / 'omnifusion' / 'sphere.npz') as file:
        return {key: file[key] for key in file.files}


def noise(name: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(weights.noise(name, shape))


@pytest.mark.parametrize('rows, patch', CASES)
def test_patches_merge_and_points_equal_the_official_tables(numbers, rows, patch):
    layout = TangentPatches(rows)
    N, size = layout.num_patches, SIZES[patch]
    points = weights.subset(layout.directions(patch).numpy(), 600)
    np.testing.assert_allclose(points, numbers[f'd/xyz/{rows}/{patch}'], rtol=0, atol=1e-6)
    np.testing.assert_allclose(points, numbers[f'f/xyz/{rows}/{patch}'], rtol=0, atol=1e-5)
    cut = layout.project(noise(f'panorama{patch}', 1, 2, *size).double(), patch)
    assert cut.shape == (1, N, 2, patch, patch)
    assert cut.dtype == torch.float64
    assert np.abs(weights.subset(cut.numpy(), 1200) - numbers[f'd/project/{rows}/{patch}']).max() < 1e-6
    merged = layout.merge(noise(f'patches{patch}', 1, N, 2, patch, patch), size)
    assert np.abs(weights.subset(merged.numpy(), 1200) - numbers[f'd/merge/{rows}/{patch}']).max() < 1e-6
    # In float32 the official code computes the corners' weights to a few 1e-5 only.
    assert np.abs(weights.subset(merged.numpy(), 1200) - numbers[f'f/merge/{rows}/{patch}']).max() < 5e-5
    assert (~layout.coverage(patch, size)).sum() == numbers[f'd/uncovered/{rows}/{patch}']


def test_the_merge_table_equals_the_official_one_entry_by_entry(numbers):
    table = merge_table(TangentPatches(4), (32, 32), (64, 128), torch.device('cpu'))
    dense = torch.zeros(64 * 128, 18 * 32 * 32)
    pixel = torch.repeat_interleave(table.offsets.diff().long())
    dense.index_put_((pixel, table.index.long()), table.weight, accumulate=True)
    ours = dense.view(64, 128, 18, -1)[::9, ::11].sum(-1).numpy()
    expected = numbers['d/table/4/32']                                    # (rows, columns, N, corners)
    assert np.abs(ours - expected.sum(-1)).max() < 1e-6
    assert ((ours > 0) == (expected.sum(-1) > 0)).all()


@pytest.mark.parametrize('rows', [3, 4, 5, 6])
def test_centres(numbers, rows):
    ours = TangentPatches(rows).centres() / torch.tensor([math.pi, math.pi / 2])
    np.testing.assert_allclose(ours, numbers[f'd/centre/{rows}'], atol=1e-7)


def smooth(height: int, width: int) -> torch.Tensor:
    """A function of the direction, so that it is smooth at the poles and the seam, between 1 and 3."""
    x, y, z = panorama_directions((height, width), align_corners=True).double().unbind(-1)
    return (2 + 0.5 * x + 0.3 * y * z + 0.2 * torch.sin(2 * z + y))[None, None]


@pytest.mark.parametrize('rows', [3, 4, 5, 6])
@pytest.mark.parametrize('exact', [False, True])
def test_round_trip_of_a_smooth_panorama(rows, exact):
    layout, size = TangentPatches(rows, exact_inverse=exact), (128, 256)
    panorama = smooth(*size)
    back = layout.merge(layout.project(panorama, 64), size)
    shown = layout.coverage(64, size)
    assert shown.float().mean() > (0.89 if rows == 3 else 0.999)    # three rows of 80 degrees leave gaps, as officially
    error = ((back - panorama).abs() / panorama)[0, 0][shown]
    # One pixel of a patch, by which the official way back is off, is a part of a percent of such a panorama.
    assert error.max() < (0.0015 if exact else 0.01)
    assert error.mean() < (0.0002 if exact else 0.003)


def test_odd_patches_and_sizes_have_finite_points_and_look_straight_ahead():
    layout = TangentPatches(4)
    points = layout.directions(33)
    assert torch.isfinite(points).all()
    centres = layout.centres()
    lon, lat = centres.unbind(-1)
    straight = torch.stack([lat.cos() * lon.sin(), lat.cos() * lon.cos(), lat.sin()], -1).float()
    torch.testing.assert_close(points[:, :, 16, 16], straight)
    assert torch.isfinite(sampling_grid(layout, (33, 33), torch.device('cpu'))).all()
    assert layout.merge(torch.ones(1, 18, 1, 33, 21), (37, 101)).shape == (1, 1, 37, 101)


@pytest.mark.parametrize('true_angle, degrees', [(False, 69.84), (True, 80.0)])
def test_the_field_of_view(true_angle, degrees):
    points = TangentPatches(4, 80., true_angle=true_angle).directions(65)
    edge = (points[5, :, 32, 0] * points[5, :, 32, -1]).sum().clamp(-1, 1).arccos()
    assert math.degrees(edge) == pytest.approx(degrees, abs=0.02)


def test_the_caches_keep_sizes_apart():
    layout, patches = TangentPatches(4), noise('sizes', 1, 18, 1, 16, 16)
    small, large = (layout.merge(patches, size) for size in ((32, 64), (48, 96)))
    assert small.shape[-2:] == (32, 64) and large.shape[-2:] == (48, 96)
    torch.testing.assert_close(layout.merge(patches, (32, 64)), small)
    assert merge_table(layout, (16, 16), (32, 64), torch.device('cpu')) is merge_table(
        TangentPatches(4), (16, 16), (32, 64), torch.device('cpu'))
    assert not torch.equal(TangentPatches(4, 60.).merge(patches, (32, 64)), small)


@pytest.mark.parametrize('exact', [False, True])
def test_merge_against_a_plain_loop(exact):
    layout = TangentPatches(4, (75., 60.), exact_inverse=exact)
    h, w, H, W = 9, 12, 14, 20
    patches = noise('loop', 1, 18, 1, h, w).double()
    merged = layout.merge(patches, (H, W))
    for i, j in [(0, 0), (3, 7), (7, 10), (13, 19), (6, 0), (9, 4)]:
        lat, lon = -math.pi / 2 + math.pi * i / (H - 1), -math.pi + 2 * math.pi * j / (W - 1)
        total = value = 0.0
        for n, (centre_lon, centre_lat) in enumerate(layout.centres(merging=True).tolist()):
            ahead = math.sin(centre_lat) * math.sin(lat) + math.cos(centre_lat) * math.cos(lat) * math.cos(lon - centre_lon)
            if ahead <= 0:
                continue
            x = math.cos(lat) * math.sin(lon - centre_lon) / ahead / math.radians(60) * 2
            y = (math.cos(centre_lat) * math.sin(lat) - math.sin(centre_lat) * math.cos(lat) * math.cos(lon - centre_lon)) \
                / ahead / math.radians(75) * 2
            x, y = ((x + 1) / 2 * (w - exact), (y + 1) / 2 * (h - exact))
            if not (0 < x < w - exact and 0 < y < h - exact):
                continue
            u, v = int(x), int(y)
            for du in (0, 1):
                for dv in (0, 1):
                    cu, cv = min(u + du, w - 1), min(v + dv, h - 1)
                    right, bottom = min(u + 1, w - 1), min(v + 1, h - 1)
                    weight = (x - u if du else right - x) * (y - v if dv else bottom - y)
                    if weight > 1e-5:
                        total, value = total + weight, value + weight * patches[0, n, 0, cv, cu].item()
        expected = value / total if total else 0.0
        assert merged[0, 0, i, j].item() == pytest.approx(expected, abs=2e-6)


def test_both_ways_are_differentiable():
    layout = TangentPatches(3, 90.)
    panorama = noise('panorama', 1, 1, 8, 12).double().requires_grad_()
    patches = noise('patches', 2, 10, 1, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: layout.project(p, (4, 5)), panorama)
    assert torch.autograd.gradcheck(lambda p: layout.merge(p, (8, 12)), patches)


def test_half_precision_is_merged_in_float32():
    layout, patches = TangentPatches(4), noise('half', 1, 18, 1, 16, 16)
    merged = layout.merge(patches.bfloat16(), (32, 64))
    assert merged.dtype == torch.float32
    torch.testing.assert_close(merged, layout.merge(patches.bfloat16().float(), (32, 64)))


def test_half_precision_is_cut_at_the_right_places():
    layout, panorama = TangentPatches(4), noise('half', 1, 2, 64, 128)
    for dtype in (torch.bfloat16, torch.float16):
        patches = layout.project(panorama.to(dtype), 16)
        assert patches.dtype == dtype
        torch.testing.assert_close(patches, layout.project(panorama.to(dtype).float(), 16).to(dtype))


def test_panorama_directions_look_where_they_should():
    ahead, right, down = (panorama_directions((180, 360))[i, j] for i, j in ((89, 179), (89, 269), (179, 0)))
    for found, expected in ((ahead, (0, 0, 1)), (right, (1, 0, 0)), (down, (0, 1, 0))):
        np.testing.assert_allclose(found, expected, atol=0.01)


def test_bad_layouts_are_named():
    with pytest.raises(ValueError, match='3, 4, 5, 6 rows; got rows=7'):
        TangentPatches(7)
    with pytest.raises(ValueError, match='field of view'):
        TangentPatches(4, 180.)
    with pytest.raises(ValueError, match='18 patches, got 10'):
        TangentPatches(4).merge(torch.zeros(1, 10, 1, 8, 8), (16, 32))


def test_tables_made_in_inference_mode_serve_training():
    layout = TangentPatches(3, fov=61.0)       # one that no other test has made tables for
    panorama = torch.rand(1, 1, 20, 40)
    with torch.inference_mode():
        layout.merge(layout.project(panorama, 12), (20, 40))
    panorama.requires_grad_(True)
    layout.merge(layout.project(panorama, 12), (20, 40)).sum().backward()
    assert panorama.grad.abs().sum() > 0


def test_exported_files_merge_as_the_model_does():
    layout = TangentPatches(4)
    table = merge_table(layout, (16, 16), (32, 64), torch.device('cpu'))
    values = torch.rand(18 * 16 * 16, 3)
    torch.testing.assert_close(table.scatter(values), table.apply(values))
