"""PNGs of plain RGB, read by compiled loops: every filter, any size, and all that is left to OpenCV."""
import struct
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from mmxf.evaluation import panoptic_quality, rgb_png
from mmxf.evaluation.panoptic_files import histogram_of_files
from mmxf.evaluation.panoptic_png import read_panoptic_png, write_panoptic_png
from mmxf.evaluation.rgb_png import read_rgb_png

pytest.importorskip('numba', reason='numba is optional; without it OpenCV reads these files, which other tests cover')


def predictor(kind: int, left: int, up: int, corner: int) -> int:
    """What the standard says, byte by byte."""
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda value: abs(guess - value))
    return (0, left, up, (left + up) // 2)[kind]


def filtered(image: np.ndarray, kinds) -> bytes:
    rows = b''
    for y, kind in enumerate(kinds):
        row = bytearray()
        for x in range(image.shape[1]):
            for c in range(3):
                left, up = int(image[y, x - 1, c]) if x else 0, int(image[y - 1, x, c]) if y else 0
                corner = int(image[y - 1, x - 1, c]) if x and y else 0
                row.append((int(image[y, x, c]) - predictor(kind, left, up, corner)) % 256)
        rows += bytes([kind]) + row
    return rows


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(rows: bytes, width: int, height: int, parts: int = 1, depth: int = 8, colour: int = 2) -> bytes:
    data = zlib.compress(rows)
    step = -(-len(data) // parts)
    pieces = [chunk(b'IDAT', data[start:start + step]) for start in range(0, len(data), step)]
    header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    return b''.join([rgb_png.SIGNATURE, chunk(b'IHDR', header), chunk(b'tEXt', b'a\0b'), *pieces, chunk(b'IEND', b'')])


def labels(random: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """(H, W, 3) patches of one colour, wide and narrow, many on borders of blocks of 8 pixels; some pixels of noise."""
    colours = random.randint(0, 256, (7, 3)).astype(np.uint8)
    patch = np.cumsum(random.rand(width) < np.where(np.arange(width) % 8, 0.02, 0.3))
    image = colours[random.randint(0, 7, (-(-height // 5), width))].repeat(5, 0)[:height, patch]
    noise = random.rand(height, width) < 0.01
    image[noise] = random.randint(0, 256, (int(noise.sum()), 3))
    return image


@pytest.mark.parametrize(('height', 'width'), [(1, 1), (3, 2), (12, 7), (21, 32), (15, 33), (30, 431)])
@pytest.mark.parametrize('kind', [0, 1, 2, 3, 4, None])
def test_every_filter(tmp_path, kind, height, width):
    random = np.random.RandomState(width)
    image = labels(random, height, width)
    kinds = random.randint(0, 5, height) if kind is None else [kind] * height
    path = tmp_path / 'a.png'
    path.write_bytes(png(filtered(image, kinds), width, height, parts=1 + width % 3))
    assert (cv2.imread(str(path))[..., ::-1] == image).all()               # the encoder above is right
    ids = read_rgb_png(path)
    assert ids.dtype == np.uint32 and ids.shape == (height, width)
    assert (ids == image.astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)).all()


def test_files_as_others_write_them(tmp_path, real_data):
    paths = sorted(real_data.glob('coco_panoptic/*/**/*.png'))
    assert len(paths) >= 6
    for path in paths:
        image = cv2.imread(str(path)).astype(np.uint32)
        assert (read_rgb_png(path) == image @ np.array([65536, 256, 1], np.uint32)).all()


def test_what_is_left_to_opencv(tmp_path):
    image = labels(np.random.RandomState(0), 20, 50)
    path = tmp_path / 'a.png'
    rows = filtered(image, [4] * 20)
    whole = png(rows, 50, 20)
    wrong_sum = bytearray(whole)
    wrong_sum[whole.index(b'IDAT') + 20] ^= 1
    for damaged in (whole[:-30], whole[:40], b'', bytes(wrong_sum), png(rows[:-1], 50, 20), png(rows + b'x', 50, 20),
                    png(b'\x05' + rows[1:], 50, 20), png(rows, 1 << 31, 1 << 31), whole.replace(b'IEND', b'IDAT')):
        path.write_bytes(damaged)
        assert read_rgb_png(path) is None
    assert read_rgb_png(tmp_path / 'absent.png') is None
    with pytest.raises(FileNotFoundError, match='absent.png'):
        read_panoptic_png(tmp_path / 'absent.png')
    for other in (image[..., 0], np.dstack([image, image[..., :1]]), image.astype(np.uint16)):
        cv2.imwrite(str(path), other)
        assert read_rgb_png(path) is None
    cv2.imwrite(str(path), np.dstack([image[..., ::-1], image[..., :1]]))
    assert (read_panoptic_png(path) == image.astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)).all()


@pytest.fixture
def alone(monkeypatch):
    """Neither numba nor what it compiled; the choice is made again, before and after."""
    rgb_png._import.cache_clear()
    monkeypatch.setitem(sys.modules, 'deflate', None)
    yield
    monkeypatch.undo()
    rgb_png._import.cache_clear()


def write_two(folder) -> list:
    ids = [np.random.RandomState(k).randint(0, 9, (6, 8)).repeat(40, 0).repeat(30, 1) * 70000 for k in (1, 2)]
    for name, image in zip('gp', ids):
        write_panoptic_png(folder / f'{name}.png', image)
    return ids


def test_the_same_without(tmp_path, alone):
    ids = write_two(tmp_path)
    assert rgb_png.pixel_loops() is None and read_rgb_png(tmp_path / 'g.png') is None
    assert (read_panoptic_png(tmp_path / 'g.png') == ids[0]).all()
    plain = histogram_of_files(tmp_path / 'g.png', tmp_path / 'p.png')
    rgb_png._import.cache_clear()
    del sys.modules['deflate']
    assert rgb_png.pixel_loops() is not None
    assert all(map(np.array_equal, plain, histogram_of_files(tmp_path / 'g.png', tmp_path / 'p.png')))


def test_many_threads(tmp_path):
    ids = write_two(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read_panoptic_png, [tmp_path / 'g.png', tmp_path / 'p.png'] * 20))
    assert all((one == ids[k % 2]).all() for k, one in enumerate(found))


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (37, 55), (3, 2048), (3, 2049), (64, 96)])
@pytest.mark.parametrize('number', [1, 3, 40])
def test_pairs(shape, number, monkeypatch):
    random = np.random.RandomState(number)
    gt, pred = (random.randint(0, 2**31, number)[np.sort(random.randint(0, number, shape), 1)] for _ in range(2))
    gt, pred = gt.astype(np.uint32), pred.astype(np.int32)                 # as of a file, and as of a model
    codes, pixels = np.unique(gt.astype(np.int64) << 32 | pred, return_counts=True)
    found = rgb_png.pixel_loops().count_pairs(gt.ravel(), pred.ravel().view(np.uint32))
    assert all(map(np.array_equal, found, (codes >> 32, codes & 0xFFFFFFFF, pixels)))
    assert all(map(np.array_equal, panoptic_quality.segment_histogram(gt, pred), found))


@pytest.mark.parametrize('size', [6000, 100_000])
def test_pairs_beyond_the_table(size):
    gt, pred = np.arange(size, dtype=np.uint32), np.zeros(size, np.uint32)
    found = rgb_png.pixel_loops().count_pairs(gt, pred)
    assert found is None or size == 6000
    gt_ids, _, pixels = panoptic_quality.segment_histogram(gt, pred)
    assert (gt_ids == gt).all() and (pixels == 1).all()
