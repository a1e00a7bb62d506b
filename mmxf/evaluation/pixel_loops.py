"""Loops over the pixels of label maps, compiled by numba, which this module imports.

Undoing the row filters of a PNG of 8-bit RGB (www.w3.org/TR/png-3, section 9), a pixel as R + 256 G + 65536 B; and counting pairs
of labels. All in one file, for numba's cache looks for changes in the file of the function alone.
"""
import numba
import numpy as np
from numba import types

from ..ops.jit import jit

EVEN, ODD, BYTE, HALVES = np.uint32(0xFF00FF), np.uint32(0xFF00), np.uint32(0xFF), np.uint32(0x7F7F7F)
ONE, EIGHT, SIXTEEN = np.uint32(1), np.uint32(8), np.uint32(16)
LARGE, SMALL = 32, 8                       # pixels of a row that are looked at together
STRETCH = 2048                             # pixels whose borders are found together
PLACES = np.uint64(0x0001020304050607)     # times 256^k, its highest byte is k
BITS = 13                                  # of the size of the table of pairs; an image has some hundred

# -- filters -----------------------------------------------------------------------------------------------


@numba.njit(inline='always')
def _nearest(left, up, corner):
    """Paeth's filter: of left, up and corner the one nearest to left + up - corner, byte by byte."""
    if left == corner:
        return up
    if up == corner:
        return left
    guess = np.uint32(0)
    for shift in (np.uint32(0), EIGHT, SIXTEEN):
        a, b, c = np.int32(left >> shift & BYTE), np.int32(up >> shift & BYTE), np.int32(corner >> shift & BYTE)
        to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - c - c)
        guess |= np.uint32(a if to_a <= to_b and to_a <= to_c else b if to_b <= to_c else c) << shift
    return guess


@numba.njit(inline='always')
def _pixels(kind, row, above, target, start, end, left, corner):
    """Pixels of a row from start to end. Written out for each kind, a constant. Returns left and corner of the next one."""
    guess = np.uint32(0)
    for x in range(np.uintp(start), np.uintp(end)):      # unsigned: numba looks for negative indices otherwise
        up, at = above[x], np.uintp(3) * x
        rest = np.uint32(row[at]) | np.uint32(row[at + np.uintp(1)]) << EIGHT | np.uint32(row[at + np.uintp(2)]) << SIXTEEN
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = np.uint32((left & up) + ((left ^ up) >> ONE & HALVES))
        elif kind == 4:
            guess = _nearest(left, up, corner)
        # Bytes add up without their carries, two that are not neighbours at once.
        left = np.uint32(((guess & EVEN) + (rest & EVEN) & EVEN) | ((guess & ODD) + (rest & ODD) & ODD))
        corner = up
        target[x] = left
    return left, corner


@numba.njit(inline='always')
def _some(words, first, number):
    """Whether the bytes of so many words from byte ``first`` on are not all 0; ``number`` is a constant."""
    at, bits = np.uintp(first >> 3), np.uint64(8 * (first & 7))
    some = words[at] >> bits | words[at + np.uintp(number)] << (np.uint64(63) - bits) << np.uint64(1)
    for k in range(np.uintp(1), np.uintp(number)):
        some |= words[at + k]
    return some != 0


@numba.njit(inline='always')
def _mostly_above(kind, words, start, row, above, target):
    """A row of kind 2 or 4, from byte ``start`` on: rows of labels are mostly those above, so it is copied, and blocks where
    anything is added are redone."""
    width = target.size
    for x in range(width):
        target[x] = above[x]
    left = corner = np.uint32(0)
    x = 0
    while x + LARGE <= width and start + 3 * (x + LARGE) + 8 < 8 * words.size:
        if _some(words, start + 3 * x, 3 * LARGE // 8) or kind == 4 and left != corner:
            for block in range(x, x + LARGE, SMALL):
                if (kind == 4 and left != corner) or _some(words, start + 3 * block, 3 * SMALL // 8):
                    left, corner = _pixels(kind, row, above, target, block, block + SMALL, left, corner)
                else:
                    left = corner = above[block + SMALL - 1]
        else:
            left = corner = above[x + LARGE - 1]
        x += LARGE
    _pixels(kind, row, above, target, x, width, left, corner)


@numba.njit
def _unfilter_row(data, words, y, above, target):
    """Row y; above is the one before it, zeros for the first. Whether its filter is known."""
    width, zero = target.size, np.uint32(0)
    start = y * (1 + 3 * width) + 1
    kind, row = data[start - 1], data[start:start + 3 * width]
    if kind == 0:
        _pixels(0, row, above, target, 0, width, zero, zero)
    elif kind == 1:
        _pixels(1, row, above, target, 0, width, zero, zero)
    elif kind == 3:
        _pixels(3, row, above, target, 0, width, zero, zero)
    elif kind == 2:
        _mostly_above(2, words, start, row, above, target)
    elif kind == 4:
        _mostly_above(4, words, start, row, above, target)
    return kind <= 4


def _unfilter(data, words, out):
    height, width = out.shape
    above = np.zeros(width, np.uint32)
    for y in range(height):
        if not _unfilter_row(data, words, y, above, out[y]):
            return False
        above = out[y]
    return True


# -- pairs -------------------------------------------------------------------------------------------------


@numba.njit(inline='always')
def _add(codes, counts, gt, pred, pixels):
    """Adds to a pair's pixels in the table; whether the pair is new."""
    code = np.uint64(gt) << np.uint64(32) | np.uint64(pred)
    slot = np.intp(code * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(64 - BITS))
    while counts[slot] and codes[slot] != code:
        slot = slot + 1 & codes.size - 1
    new = counts[slot] == 0
    codes[slot] = code
    counts[slot] += pixels
    return new


@numba.njit
def _add_stretch(gt, pred, border, codes, counts):
    """Adds at most STRETCH pixels, run by run; how many pairs are new."""
    size = gt.size
    g, p, g_before, p_before, at = gt[1:], pred[1:], gt[:-1], pred[:-1], border[1:]
    border[0] = 0
    for k in range(size - 1):
        at[k] = (g[k] ^ g_before[k] | p[k] ^ p_before[k]) != 0
    words = border.view(np.uint64)
    for k in range(size, min(size + 8, border.size)):
        border[k] = 0
    head = new = 0                         # where the run began
    for w in range((size + 7) // 8):       # eight pixels at a time, most of which are no borders
        word = words[w]
        while word:
            first = word & (~word + np.uint64(1))
            k = 8 * w + np.intp(first * PLACES >> np.uint64(56))
            new += _add(codes, counts, gt[head], pred[head], k - head)
            head = k
            word ^= first
    return new + _add(codes, counts, gt[head], pred[head], size - head)


@numba.njit
def _add_line(gt, pred, border, codes, counts, used):
    """Adds any number of pixels; how many pairs there are then, or -1 where there is no room for those of a further stretch."""
    for start in range(0, gt.size, STRETCH):
        if used + STRETCH >= codes.size:
            return -1
        used += _add_stretch(gt[start:start + STRETCH], pred[start:start + STRETCH], border, codes, counts)
    return used


def _count(gt, pred, codes, counts):
    return _add_line(gt, pred, np.empty(STRETCH, np.uint8), codes, counts, 0) >= 0


# -- as others call them -----------------------------------------------------------------------------------

_line, _words = types.uint32[::1], types.uint64[::1]
_unfilter = jit(_unfilter, types.boolean(types.uint8[::1], _words, types.uint32[:, ::1]))
_count = jit(_count, types.boolean(_line, _line, _words, types.int64[::1]))


def _arrays(data: bytearray) -> tuple[np.ndarray, np.ndarray]:
    return np.frombuffer(data, np.uint8), np.frombuffer(data, np.uint64, len(data) // 8)


def _pairs(codes: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    slots = np.flatnonzero(counts)
    slots = slots[codes[slots].argsort()]
    codes = codes[slots].astype(np.int64)
    return codes >> 32, codes & 0xFFFFFFFF, counts[slots]


def unfilter(data: bytearray, height: int, width: int) -> np.ndarray | None:
    """Pixels of filtered rows.

    Args:
        data: H (1 + 3 W) bytes, the number of a row's filter before each row.

    Returns:
        (H, W) uint32; None where a number stands for no filter.
    """
    out = np.empty((height, width), np.uint32)
    return out if _unfilter(*_arrays(data), out) else None


def count_pairs(gt: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Which pairs of labels share pixels, and how many.

    Args:
        gt: (N,) uint32, contiguous.
        pred: likewise.

    Returns:
        gt, pred, pixels: (P,) int64 each, in order; None where there are thousands of pairs.
    """
    table = np.empty(1 << BITS, np.uint64), np.zeros(1 << BITS, np.int64)
    return _pairs(*table) if _count(gt, pred, *table) else None
