"""Going over a large map strip by strip, so that what is made on the way stays in the processor's cache.

A chain of cheap layers over 256 x 161 x 161 values is bound by memory: every layer's output is 26 MB that has to be fetched from
the system, written and read again. In strips of a few rows the same numbers come from the cache.
"""
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

STRIP_ELEMENTS = 1 << 20


class Strip(NamedTuple):
    """Some rows of a map, and what a kernel that reaches beyond them needs."""
    rows: slice       # of the whole map
    source: slice     # these rows and their neighbours, as far as there are any
    inner: slice      # the rows within the source


def strips(x: Tensor, reach: int = 0, elements: int = STRIP_ELEMENTS) -> Iterator[Strip]:
    """Rows of a map (B, C, H, W), from the first to the last.

    Args:
        x: the map.
        reach: rows above and below that the layers look at: half of the kernels' heights, summed.
        elements: of the map in one strip.
    """
    B, C, H, W = x.shape
    count = max(1, round(B * C * H * W / elements))
    height = max(-(-H // count), 2 * reach, 1)
    for first in range(0, H, height):
        last = min(first + height, H)
        low, high = max(first - reach, 0), min(last + reach, H)
        yield Strip(slice(first, last), slice(low, high), slice(first - low, last - low))
