"""Plain RGB images in PNG, read as one number a pixel, eight times as fast as by libpng.

A PNG (www.w3.org/TR/png-3) is chunks, of which IDAT hold rows that are filtered, then deflated. Label maps deflate into a
hundredth of their size, long matches that libdeflate copies in no time; and most of their pixels equal those above, so whole
blocks of filtered rows are zeros that say "as above". Everything but the plain case is left to others.
"""
import functools
import os
import struct
import threading
import zlib
from types import ModuleType

import numpy as np

SIGNATURE = b'\x89PNG\r\n\x1a\n'
RGB, DEPTH = 2, 8
MAX_PIXELS = 1 << 28                       # 1 GB of numbers; a header may claim anything
_lock = threading.Lock()


@functools.cache
def _import() -> ModuleType | None:
    try:
        import deflate  # noqa: F401

        from . import pixel_loops
        return pixel_loops
    except Exception:                      # of any type, where numba does not fit the installed NumPy or cannot compile here
        return None


def pixel_loops() -> ModuleType | None:
    """:mod:`.pixel_loops`; None where numba or libdeflate is missing or cannot work. Threads that come first compile it once."""
    with _lock:
        return _import()


def _chunks(data: bytes) -> tuple[bytes, list[memoryview]] | None:
    """The header and the IDAT chunks of a PNG; None when a length or a checksum is wrong."""
    view, place, header, parts = memoryview(data), len(SIGNATURE), b'', []
    while place + 12 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, place)
        end = place + 8 + length
        if end + 4 > len(data):
            return None
        if kind in (b'IHDR', b'IDAT'):
            if zlib.crc32(view[place + 4:end]) != struct.unpack_from('>I', data, end)[0]:
                return None
            if kind == b'IDAT':
                parts.append(view[place + 8:end])
            else:
                header = data[place + 8:end]
        elif kind == b'IEND':
            return header, parts
        place = end + 4
    return None


def read_rgb_png(path: str | os.PathLike) -> np.ndarray | None:
    """Pixels of a PNG of 8-bit RGB without interlacing.

    Returns:
        (H, W) uint32, R + 256 G + 65536 B; None for a file of another kind, one that is damaged or absent, and where
        `pixel_loops` is None.
    """
    loops = pixel_loops()
    if loops is None:
        return None
    import deflate

    try:
        with open(path, 'rb') as file:
            data = file.read()
    except OSError:
        return None
    chunks = _chunks(data) if data.startswith(SIGNATURE) else None
    if chunks is None or len(chunks[0]) != 13:
        return None
    width, height, depth, colour, _, _, interlaced = struct.unpack('>IIBBBBB', chunks[0])
    if (depth, colour, interlaced) != (DEPTH, RGB, 0) or not 0 < width * height <= MAX_PIXELS:
        return None
    size = height * (1 + 3 * width)
    try:
        rows = deflate.zlib_decompress(b''.join(chunks[1]), size)
    except (deflate.DeflateError, MemoryError):
        return None
    return loops.unfilter(rows, height, width) if len(rows) == size else None
