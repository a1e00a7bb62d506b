"""Matching and losses in float32 under mixed precision, whatever model they belong to."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.structures import BaseDataElement

from mmxf.registry import HOOKS

_HALF = (torch.float16, torch.bfloat16)


@HOOKS.register_module()
class Float32LossHook(Hook):
    """Under autocast, modules whose class is called ...Loss and objects with a method ``assign`` get and compute float32.

    A sum over a map's pixels leaves float16's range, and a cost near another is the same in bfloat16. Without autocast nothing
    changes.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._wrapped: list[tuple[Any, str]] = []

    def before_train(self, runner) -> None:
        for owner, name in loss_parts(runner.model):
            if name not in vars(owner):
                vars(owner)[name] = in_float32(getattr(owner, name))
                self._wrapped.append((owner, name))

    def after_train(self, runner) -> None:
        for owner, name in self._wrapped:
            vars(owner).pop(name, None)
        self._wrapped.clear()


def loss_parts(model: torch.nn.Module) -> list[tuple[Any, str]]:
    """Objects of a model that compute losses or match predictions with targets, and the method that does it."""
    found: dict[int, tuple[Any, str]] = {}
    for module in model.modules():
        if type(module).__name__.endswith('Loss'):
            found[id(module)] = (module, 'forward')
        for value in vars(module).values():
            if not isinstance(value, torch.nn.Module) and callable(getattr(value, 'assign', None)) and hasattr(value, '__dict__'):
                found[id(value)] = (value, 'assign')
    return list(found.values())


def in_float32(function: Callable) -> Callable:
    """``function`` with autocast off and arguments in half precision made float32, where autocast is on; otherwise as it is."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any):
        if not (torch.is_autocast_enabled('cpu') or torch.cuda.is_available() and torch.is_autocast_enabled('cuda')):
            return function(*args, **kwargs)
        with torch.autocast('cpu', enabled=False), torch.autocast('cuda', enabled=False):
            return function(*to_float32(args), **to_float32(kwargs))

    return wrapped


def to_float32(value: Any) -> Any:
    """Half-precision tensors in float32, also within containers and data elements; everything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype in _HALF else value
    if isinstance(value, dict):
        return type(value)((key, to_float32(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(to_float32(item) for item in value)
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return type(value)(*(to_float32(item) for item in value))
    if isinstance(value, BaseDataElement):
        halves = [key for key, item in value.items() if isinstance(item, torch.Tensor) and item.dtype in _HALF]
        copy = value.new() if halves else value
        for key in halves:
            copy.set_field(value.get(key).float(), key, dtype=None)
        return copy
    return value
