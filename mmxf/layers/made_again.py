"""Tensors that the backward pass makes again instead of keeping, where that costs a pass over memory and no matrix product.

Checkpointing (recompute.py) runs a whole part again. Here a part runs once, and of what its operators keep, chosen tensors are
replaced by the way to make them: the output of a layer norm from its input, which is kept anyway.
"""
from collections.abc import Callable

import torch
from torch import Tensor


class MadeAgain:
    """Inside ``with``, tensors that were given to `add` are not kept for the backward pass.

        with MadeAgain() as again:
            again.add(x, lambda: norm(source))
            y = layer(x)

    A tensor is known by its memory, which is held until the end; it must not be written to in between.
    """

    def __init__(self) -> None:
        self._ways: dict[tuple, tuple[Tensor, Callable[[], Tensor]]] = {}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)

    def add(self, tensor: Tensor, make: Callable[[], Tensor]) -> None:
        """`make()` must give the same numbers; it runs without gradients, and should hold no tensors of the graph."""
        self._ways[_place(tensor)] = tensor.detach(), make

    def add_rows(self, rows: Tensor, source: Tensor, index: Tensor) -> None:
        """Rows `index` of `source`, where that is made again itself; nothing otherwise."""
        if _place(source) in self._ways:
            make = self._ways[_place(source)][1]
            self.add(rows, lambda: make().index_select(0, index))

    def __enter__(self) -> 'MadeAgain':
        self._hooks.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        self._hooks.__exit__(*exception)
        self._ways.clear()

    def _pack(self, tensor: Tensor):
        known = self._ways.get(_place(tensor))
        return tensor if known is None else known[1]

    @staticmethod
    def _unpack(kept) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        with torch.no_grad():
            return kept()


def _place(tensor: Tensor) -> tuple:
    return tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype
