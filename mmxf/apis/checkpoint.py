"""Checkpoints into models: nothing but data is unpickled, and every key must fit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mmxf.config import UserError


class CheckpointError(UserError):
    """A checkpoint that cannot be read or does not fit; the message names the file and the keys."""


def load_checkpoint(path, map_location='cpu', allow_pickle: bool = False) -> dict:
    """Read a checkpoint; no code from it runs unless ``allow_pickle``.

    ``path`` is a file, or what :mod:`mmxf.engine.weights_source` knows: a URL, a Hub id, a list of mirrors.

    Raises CheckpointError where the file is missing, broken, or holds more than data.
    """
    from mmxf.engine.checkpoint_io import DamagedCheckpointError, UnsafeCheckpointError, load_file
    from mmxf.engine.weights_source import WeightsError, is_remote, locate

    if is_remote(path):
        try:
            path = locate(path)
        except WeightsError as error:
            raise CheckpointError(str(error)) from None
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f'checkpoint {path} does not exist'
            + (': it is a folder, give a .pth file in it' if path.is_dir() else missing_hint(path))
        )
    try:
        checkpoint = load_file(path, allow_pickle=allow_pickle, map_location=map_location)
    except (UnsafeCheckpointError, DamagedCheckpointError) as error:
        raise CheckpointError(str(error)) from None
    if not isinstance(checkpoint, dict):
        raise CheckpointError(
            f'{path} holds a {type(checkpoint).__name__}, expected a dict with a state_dict'
        )
    return checkpoint


def missing_hint(path: Path) -> str:
    """The checkpoints that are in that folder instead."""
    names = sorted(p.name for p in path.parent.glob('*.pth')) if path.parent.is_dir() else []
    return f'; in {path.parent}: {", ".join(names[-4:])}' if names else ''


def state_dict_of(checkpoint: dict) -> dict:
    """The weights of a checkpoint: under ``state_dict`` or ``model``, or the checkpoint itself; DDP's
    ``module.`` removed.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint.get(key), dict):
            checkpoint = checkpoint[key]
            break
    if checkpoint and all(key.startswith('module.') for key in checkpoint):
        checkpoint = {key[len('module.') :]: value for key, value in checkpoint.items()}
    return checkpoint


def training_only_prefixes(model: nn.Module) -> list[str]:
    """Names, ending in a dot, of the modules that declare ``training_only = True``."""
    return [
        name + '.'
        for name, module in model.named_modules()
        if name and getattr(module, 'training_only', False)
    ]


def load_weights(model: nn.Module, path, map_location='cpu', allow_pickle: bool = False) -> dict:
    """Load a checkpoint's weights into ``model``, strictly, and return the rest of the checkpoint.

    Only keys of modules that declare ``training_only`` may be missing: inference never reads them.

    Raises:
        CheckpointError: naming missing, unexpected and mis-shaped keys; class counts where they are what
            differs.
    """
    checkpoint = load_checkpoint(path, map_location, allow_pickle)
    state = state_dict_of(checkpoint)
    if not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise CheckpointError(
            f'{path} holds no weights under state_dict or model; its keys: '
            f'{", ".join(map(str, list(checkpoint)[:10]))}'
        )
    own = model.state_dict()
    skipped = tuple(training_only_prefixes(model))
    missing = [key for key in own if key not in state and not key.startswith(skipped or ('\0',))]
    unexpected = [key for key in state if key not in own]
    shaped = [
        (key, tuple(state[key].shape), tuple(own[key].shape))
        for key in own
        if key in state and tuple(state[key].shape) != tuple(own[key].shape)
    ]
    if missing or unexpected or shaped:
        raise CheckpointError(mismatch_message(path, checkpoint, model, missing, unexpected, shaped))
    model.load_state_dict(state, strict=False)
    return {
        key: value for key, value in checkpoint.items() if value is not state and key not in ('optimizer',)
    }


def mismatch_message(path, checkpoint: dict, model: nn.Module, missing, unexpected, shaped) -> str:
    """What does not fit, keys listed up to a dozen a kind."""
    lines = [f'{path} does not fit the model:']
    classes = class_counts(checkpoint, model, shaped)
    if classes:
        lines.append(
            f'  the checkpoint was trained for {classes[0]} classes, the config builds a model '
            f'for {classes[1]}: '
            "use the config the checkpoint was trained with, or set the classes in the data set's metainfo"
        )
    for title, keys in (
        ('missing in the checkpoint', missing),
        ('not in the model', unexpected),
        (
            'of another shape',
            [f'{k}: {tuple(a)} in the checkpoint, {tuple(b)} in the model' for k, a, b in shaped],
        ),
    ):
        if keys:
            lines.append(f'  {len(keys)} keys {title}:' if len(keys) > 1 else f'  1 key {title}:')
            lines += [f'    {key}' for key in keys[:12]]
            if len(keys) > 12:
                lines.append(f'    ... and {len(keys) - 12} more')
    return '\n'.join(lines)


def class_counts(checkpoint: dict, model: nn.Module, shaped) -> tuple[int, int] | None:
    """(classes of the checkpoint, classes of the model) where they differ, else None.

    Known from the names stored with the weights; else read off a mis-shaped tensor whose first size in the
    model is the class count, or one more for void.
    """
    meta = getattr(model, 'dataset_meta', None) or {}
    ours = len(meta.get('classes') or ())
    stored = checkpoint.get('meta')
    stored = (stored.get('dataset_meta') if isinstance(stored, dict) else None) or {}
    theirs = len(stored.get('classes') or stored.get('CLASSES') or ())
    if ours and theirs:
        return (theirs, ours) if ours != theirs and shaped else None
    for _, a, b in shaped:
        if ours and a and b and a[1:] == b[1:] and b[0] in (ours, ours + 1):
            return a[0] - (b[0] - ours), ours
    return None
