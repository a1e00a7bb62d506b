"""A training batch on the disk, to look at what made a loss go wrong."""
from __future__ import annotations

import io
import os.path as osp
from typing import Any

import torch

from .atomic_files import write_atomically
from .plain_data import plain


def dump_batch(folder: str, iteration: int, rank: int, batch: Any, losses: dict[str, float], images: list[str]) -> str:
    """Writes ``<folder>/iter_<iteration>_rank_<rank>.pth``, which ``torch.load(weights_only=True)`` reads; returns its path.

    It holds ``batch`` as the data loader gave it (``inputs``, and ``data_samples`` as dicts of their fields), ``losses`` and
    ``images``.

    Raises:
        CheckpointWriteError: where it cannot be written.
    """
    path = osp.join(folder, f'iter_{iteration}_rank_{rank}.pth')
    buffer = io.BytesIO()
    torch.save(plain(dict(iteration=iteration, rank=rank, images=images, losses=losses, batch=batch)), buffer)
    write_atomically(path, buffer.getvalue())
    return path
