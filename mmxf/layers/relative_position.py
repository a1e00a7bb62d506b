"""Learned relative position tables of axial attention (Axial-DeepLab, arXiv:2003.07853)."""
import torch
from torch import Tensor, nn

from .conv_norm import trunc_normal_


class RelativePositionTable(nn.Module):
    """A vector for each offset key - query in [-(max_span - 1), max_span - 1].

    Args:
        depth: length d of a vector.
        max_span: longest sequence the table serves.
    """

    def __init__(self, depth: int, max_span: int = 255) -> None:
        super().__init__()
        self.max_span = max_span
        self.weight = nn.Parameter(self._first_weight(2 * max_span - 1, depth))

    @staticmethod
    def _first_weight(rows: int, depth: int) -> Tensor:
        weight = nn.Embedding(rows, depth).weight.data
        trunc_normal_(weight, std=1.0)
        return weight

    def forward(self, length: int) -> Tensor:
        """(L, L, d): entry [l, m] is the vector of offset m - l.

        Raises:
            ValueError: if length exceeds max_span.
        """
        if length > self.max_span:
            raise ValueError(f'a sequence of {length} positions exceeds the relative position table, which spans '
                             f'{self.max_span}: use a smaller input or a model with a larger max_span')
        if not isinstance(length, int):     # of an export for any size: windows have fixed lengths, indices do not
            position = torch.arange(length, device=self.weight.device)
            return self.weight[position - position[:, None] + self.max_span - 1]
        first = self.max_span - length
        rows = self.weight[first:first + 2 * length - 1]            # offsets -(L-1) .. L-1, (2L-1, d)
        return rows.unfold(0, length, 1).flip(0).transpose(1, 2)    # window L-1-l holds the offsets of query l
