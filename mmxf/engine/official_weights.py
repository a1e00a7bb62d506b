"""The weights in other people's checkpoints, whatever they are wrapped in."""
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def unwrap(checkpoint: Mapping, names: Sequence[str] = ('model', 'state_dict')) -> dict[str, Tensor]:
    """The state dict of a checkpoint, bare or under one of `names`; arrays as tensors, ``module.`` prefixes removed.

    Raises:
        ValueError: if it holds no weights.
    """
    for name in names:
        if isinstance(checkpoint.get(name), Mapping):
            checkpoint = checkpoint[name]
    state = {key.removeprefix('module.'): value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
             for key, value in checkpoint.items() if isinstance(value, (Tensor, np.ndarray, np.generic))}
    if not state:
        raise ValueError('the file holds no weights, neither bare nor under ' + ' or '.join(f'"{name}"' for name in names))
    return state
