"""A sampler whose stream can be entered at any position, and which seeds every sample."""
from __future__ import annotations

import math
from collections.abc import Iterator, Sized

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from mmxf.registry import DATA_SAMPLERS

from .random_state import SeededIndex, mix_seed


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Deals a shuffled stream of indices to the ranks as mmengine's do: rank r takes positions r, r + world, ...

    The stream is a function of (seed, position): pass k over the data is a permutation drawn from (seed, k). So the
    samples of a global batch are the same for any number of ranks, and continuing at position p costs one permutation.
    Every index is a :class:`SeededIndex` with a seed of its own, from (seed, position).

    Args:
        dataset: anything with a length.
        shuffle: permute each pass; otherwise 0..n-1.
        seed: the same on all ranks; None: drawn, and agreed on by all ranks.
        infinite: passes follow each other without end (IterBasedTrainLoop). Otherwise one iteration is one pass, and
            :meth:`set_epoch` chooses which (EpochBasedTrainLoop).
        round_up: with ``infinite=False``, repeat the first samples until every rank gets equally many.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None, infinite: bool = True,
                 round_up: bool = True) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError('The training data set is empty: check ann_file, data_prefix and filter_cfg of '
                             'train_dataloader.dataset')
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.infinite = infinite
        self.round_up = round_up
        self.epoch = 0
        self.position = 0

    def skip(self, num_samples: int) -> None:
        """Start after ``num_samples`` indices of each rank, counted from the start of the stream (or of the pass)."""
        self.seek(num_samples * self.world_size)

    def seek(self, position: int) -> None:
        """Start at this position of the stream of all ranks together, counted from the start of the stream (pass)."""
        if position < 0:
            raise ValueError(f'position must not be negative, got {position}')
        self.position = position

    def set_epoch(self, epoch: int) -> None:
        """Choose the pass (``infinite=False``); an infinite stream is not moved."""
        self.epoch = epoch

    def _permutation(self, number: int) -> list[int]:
        if not self.shuffle:
            return list(range(self.size))
        generator = torch.Generator().manual_seed(mix_seed(self.seed, number) >> 1)
        return torch.randperm(self.size, generator=generator).tolist()

    def _seeded(self, index: int, number: int, offset: int) -> SeededIndex:
        # 2 marks samples, so that no sample shares its seed with a permutation.
        return SeededIndex(index, mix_seed(self.seed, number, offset, 2))

    def __iter__(self) -> Iterator[SeededIndex]:
        position = self.position + self.rank
        if not self.infinite:
            permutation = self._permutation(self.epoch)
            total = len(self) * self.world_size if self.round_up else self.size
            for offset in range(position, total, self.world_size):
                yield self._seeded(permutation[offset % self.size], self.epoch, offset)
            return
        number = -1
        while True:
            if position // self.size != number:
                number = position // self.size
                permutation = self._permutation(number)
            offset = position % self.size
            yield self._seeded(permutation[offset], number, offset)
            position += self.world_size

    def __len__(self) -> int:
        """Indices of this rank in one pass; an infinite stream reports the length of the data set, as mmengine's."""
        if self.infinite:
            return self.size
        if self.round_up:
            return math.ceil(self.size / self.world_size)
        return math.ceil((self.size - self.rank) / self.world_size)
