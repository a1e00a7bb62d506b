"""Official KAT checkpoints to ours and back; plain ViT and DeiT checkpoints to KAT, as the paper's ViT-initialised recipe has it.

A ViT's MLP weights are kept, and its activation becomes a rational function next to that activation: KAT starts as the ViT. Names
are timm's and DeiT's (AugReg's ViTs have timm's); of a distilled DeiT the distillation token, its position and its head go.
"""
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from mmxf.engine.official_weights import unwrap

from .fit import fit

_NAMES = (('patch_embed.proj.', 'backbone.patch_embed.'), ('mlp.act1.weight_numerator', 'ffn.rational1.numerator'),
          ('mlp.act1.weight_denominator', 'ffn.rational1.denominator'), ('mlp.act2.weight_numerator', 'ffn.rational2.numerator'),
          ('mlp.act2.weight_denominator', 'ffn.rational2.denominator'), ('mlp.fc1.', 'ffn.fc1.'), ('mlp.fc2.', 'ffn.fc2.'))
_OTHERS = re.compile(r'(blocks\.\d+\.(norm1|norm2|attn\.(qkv|proj))\.(weight|bias)|cls_token|pos_embed|norm\.(weight|bias))$')
_WRAPPERS = ('model', 'state_dict', 'state_dict_ema')


def convert(checkpoint: Mapping, activation: str = 'gelu', num_groups: int = 8) -> dict[str, Tensor]:
    """An official KAT, a ViT or a DeiT (timm's and DeiT's names) to our classifier's state dict.

    Args:
        checkpoint: as loaded.
        activation: of a ViT's MLP; its rationals start there.
        num_groups: of the rationals that a ViT gets.

    Returns:
        state dict of `ImageClassifier` with a `KAT` backbone. For ``init_cfg=dict(type='Pretrained', ...)`` of a `KAT` alone the
        same file does.

    Raises:
        ValueError: for keys that none of these has; all are named.
    """
    state = _without_distillation(unwrap(checkpoint, _WRAPPERS))
    renamed, unknown = {}, []
    for key, value in state.items():
        new = _to_ours(key)
        if new is None:
            unknown.append(key)
        else:
            renamed[new] = value
    _complain(unknown, state)
    depth = len({key for key in renamed if key.endswith('ffn.fc1.weight')})
    if not any('.rational' in key for key in renamed):
        for i in range(depth):
            for name, start in (('rational1', 'identity'), ('rational2', activation)):
                numerator, denominator = fit(start)
                prefix = f'backbone.blocks.{i}.ffn.{name}'
                renamed[f'{prefix}.numerator'] = torch.tensor([numerator])
                renamed[f'{prefix}.denominator'] = torch.tensor([denominator]).repeat(num_groups, 1)
    return renamed


def _without_distillation(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A distilled DeiT as a plain one: tokens are (class, distillation, patches), and each of the first two has a head."""
    if 'dist_token' not in state:
        return state
    position = state['pos_embed']
    kept = {key: value for key, value in state.items() if key != 'dist_token' and not key.startswith('head_dist.')}
    return {**kept, 'pos_embed': torch.cat([position[:, :1], position[:, 2:]], 1)}


def revert(checkpoint: Mapping, average: bool = False) -> dict[str, Tensor]:
    """Our classifier's state dict to official keys; the inverse of `convert` for KAT.

    Args:
        checkpoint: ours.
        average: name the last norm as the official code does where it pools by averaging (`fc_norm`).

    Raises:
        ValueError: for keys that KAT does not have.
    """
    state = unwrap(checkpoint, _WRAPPERS)
    state = {key: value for key, value in state.items() if not key.startswith('data_preprocessor.')}
    renamed, unknown = {}, []
    for key, value in state.items():
        new = _to_official(key, average)
        if new is None:
            unknown.append(key)
        else:
            renamed[new] = value
    _complain(unknown, state)
    return renamed


def _to_ours(key: str) -> str | None:
    if key.startswith('head.') and key[5:] in ('weight', 'bias'):
        return f'head.fc.{key[5:]}'
    if key.startswith('fc_norm.'):                       # behind average pooling; the same place as the norm in our backbone
        return f'backbone.norm.{key[8:]}'
    for official, ours in _NAMES:
        if official in key:
            new = key.replace(official, ours)
            return new if new.startswith('backbone.') else f'backbone.{new}'
    return f'backbone.{key}' if _OTHERS.match(key) else None


def _to_official(key: str, average: bool) -> str | None:
    if key.startswith('head.fc.'):
        return f'head.{key[8:]}'
    for official, ours in _NAMES:
        if ours in key:
            return key.replace(ours, official).removeprefix('backbone.')
    key = key.removeprefix('backbone.')
    if average and key.startswith('norm.'):
        return f'fc_{key}'
    return key if _OTHERS.match(key) else None


def _complain(unknown: list[str], state: Mapping) -> None:
    if unknown:
        shown = ', '.join(unknown[:5]) + (', ...' if len(unknown) > 5 else '')
        raise ValueError(f'{len(unknown)} of {len(state)} keys belong neither to KAT nor to a ViT or DeiT as timm names them: '
                         f'{shown}')
