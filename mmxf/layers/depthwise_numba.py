"""The weight gradient of a depthwise convolution on the CPU, compiled by numba: all channels of a pixel and a tap at once.

Parted among torch's threads by rows, with fixed bounds, so that sums are the same bits in every run with as many threads.
"""
import functools

import numpy as np
import torch
from numba import types
from torch import Tensor

from ..ops import threads
from ..ops.jit import jit


def _rows(x, grad, total, padding, first, last):
    """Adds what rows first to last of grad (H, W, C) give to total (k, k, C), row by row, so that no sum gets long."""
    H, W, C = grad.shape
    k = total.shape[0]
    row = np.empty((k, k, C), x.dtype)
    for y in range(first, last):
        row[:] = 0
        for i in range(max(0, padding - y), min(k, H + padding - y)):
            source = x[y + i - padding]
            for j in range(k):
                taps = row[i, j]
                for p in range(max(0, padding - j), min(W, W + padding - j)):
                    g, s = grad[y, p], source[p + j - padding]
                    for c in range(C):
                        taps[c] += g[c] * s[c]
        total += row


_map = types.float32[:, :, ::1]
_rows = jit(_rows, types.void(_map, _map, _map, types.intp, types.intp, types.intp), error_model='numpy', fastmath={'contract'})


def weight_gradient(x: Tensor, grad: Tensor, kernel: int, padding: int) -> Tensor:
    """Of a convolution of stride 1.

    Args:
        x, grad: (B, C, H, W) float32 on the CPU, best with channels last in memory; input, and gradient of the output.

    Returns:
        (C, 1, kernel, kernel).
    """
    B, C, H, _ = grad.shape
    parts = min(torch.get_num_threads(), H)
    bounds = [H * part // parts for part in range(parts + 1)]
    totals = np.zeros((parts, kernel, kernel, C), np.float32)
    maps = [t.detach().permute(0, 2, 3, 1).contiguous().numpy() for t in (x, grad)]
    for b in range(B):
        threads.run([functools.partial(_rows, maps[0][b], maps[1][b], totals[part], padding, bounds[part], bounds[part + 1])
                     for part in range(parts)])
    return torch.from_numpy(totals.sum(0)).permute(2, 0, 1).unsqueeze(1)
