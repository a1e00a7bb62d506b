"""Checkpoints of containers, numbers, strings and tensors alone, which ``torch.load(weights_only=True)`` reads.

mmengine puts its log buffers and numpy's arrays into them. They are written as dicts that name what they were, and made again by
:func:`restored`.
"""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.structures import BaseDataElement

_LOG, _ARRAY = '__log__', '__array__'


def plain(value: Any, left_out: list[str] | None = None, name: str = '') -> Any:
    """A copy of plain data; tensors are not copied.

    Args:
        value: anything. Data samples become dicts of their fields, with ``metainfo``.
        left_out: gets the names of what could not be kept; it becomes its text.
        name: what ``value`` is called there.
    """
    if value is None or type(value) in (bool, int, float, str, bytes, complex) or isinstance(value, torch.Tensor):
        return value.data if isinstance(value, torch.nn.Parameter) else value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.kind in 'biufc':
            return {_ARRAY: torch.from_numpy(np.ascontiguousarray(value)).reshape(value.shape)}
        return {_ARRAY: plain(value.tolist(), left_out, name), 'dtype': str(value.dtype)}
    if isinstance(value, HistoryBuffer):
        return {_LOG: torch.from_numpy(np.asarray(value._log_history, np.float64)),
                'counts': torch.from_numpy(np.asarray(value._count_history, np.int64)), 'max_length': value.max_length}
    if isinstance(value, BaseDataElement):
        fields = {key: plain(item, left_out, f'{name}.{key}') for key, item in value.items()}
        return dict(metainfo=plain(dict(value.metainfo), left_out, f'{name}.metainfo'), **fields)
    if isinstance(value, Mapping):
        kind = OrderedDict if isinstance(value, OrderedDict) else dict
        pairs = ((plain_key(key), plain(item, left_out, f'{name}.{key}' if name else str(key))) for key, item in value.items())
        return kind(pairs)
    if isinstance(value, (list, tuple)) or type(value).__name__ == 'deque':
        items = [plain(item, left_out, f'{name}.{i}') for i, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item, left_out, name) for item in value), key=str)
    if isinstance(value, (bool, int, float, str)):    # subclasses of them
        return next(kind(value) for kind in (bool, int, float, str) if isinstance(value, kind))
    for part in ('tensor', 'masks'):    # mmdet's boxes and bitmaps
        inner = vars(value).get(part) if hasattr(value, '__dict__') else None
        if isinstance(inner, (torch.Tensor, np.ndarray, list)):
            return plain(inner, left_out, f'{name}.{part}')
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value)
    if left_out is not None:
        left_out.append(f'{name} ({type(value).__name__})')
    return str(value)


def plain_key(key: Any) -> Any:
    return key if type(key) in (bool, int, float, str, tuple) or key is None else plain(key)


def restored(value: Any) -> Any:
    """What :func:`plain` was given: log buffers and arrays made again; everything else as it is."""
    if isinstance(value, dict):
        if _LOG in value:
            return HistoryBuffer(value[_LOG].tolist(), value['counts'].tolist(), value['max_length'])
        if _ARRAY in value:
            inner = value[_ARRAY]
            return inner.numpy() if isinstance(inner, torch.Tensor) else np.array(inner, dtype=value['dtype'])
        return type(value)((key, restored(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(restored(item) for item in value)
    return value
