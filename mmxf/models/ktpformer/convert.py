"""Official checkpoints of KTPFormer, MixSTE and D3DP to ours and back.

Official files hold the weights under 'model_pos', beside the optimiser and a random state. D3DP's also hold the diffusion's
schedule, which follows from its length alone: it is compared with ours, and made again on the way back.
"""
from collections.abc import Mapping

import torch
from torch import Tensor

from mmxf.engine.official_weights import unwrap

from .schedule import SCHEDULE_NAMES, cosine_schedule

_CONV = (('gconv.W', 'weight'), ('gconv.M', 'modulation'), ('gconv.adj2', 'affinity'), ('gconv.bias', 'bias'),
         *((f'bn.{name}', f'norm.{name}') for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')))
_BLOCK = (('attn.qkv', 'qkv'), ('attn.proj', 'project'), ('norm2', 'mlp_norm'), ('mlp.fc1', 'mlp.0'), ('mlp.fc2', 'mlp.1'))
_KTPFORMER = (
    *((f'kpattention.attn.kpa.{a}', f'spatial_prior.conv.{b}') for a, b in _CONV),
    *((f'tpattention.attn.tpa.gconv{i + 1}.{a}', f'temporal_prior.convs.{i}.{b}') for i in (0, 1) for a, b in _CONV),
    *((f'{part}.attn.norm1', f'{ours}.0.attention_norm') for part, ours in (
        ('kpattention', 'spatial_blocks'), ('tpattention', 'temporal_blocks'))),
    *((f'{part}.{a}', f'{ours}.0.{b}') for part, ours in (
        ('kpattention', 'spatial_blocks'), ('tpattention', 'temporal_blocks')) for a, b in _BLOCK),
    ('kpattention.attn.Spatial_pos_embed', 'spatial_position'), ('tpattention.attn.Temporal_pos_embed', 'temporal_position'))
_MIXSTE = (('Spatial_patch_to_embedding', 'spatial_prior'), ('Spatial_pos_embed', 'spatial_position'),
           ('Temporal_pos_embed', 'temporal_position'))
_SHARED = (('Spatial_norm', 'spatial_norm'), ('Temporal_norm', 'temporal_norm'), ('head', 'head'), ('time_mlp', 'time_mlp'))
_STACKS = (('STEblocks', 'spatial_blocks'), ('TTEblocks', 'temporal_blocks'))
_D3DP, _OURS, _DENOISER, _STEPS = 'pose_estimator.', 'backbone.', 'backbone.denoiser.', 'backbone.kept'
_WRAPPERS = ('model_pos', 'model', 'state_dict')


def convert(checkpoint: Mapping) -> dict[str, Tensor]:
    """An official state dict of KTPFormer, MixSTE or D3DP to ours.

    Raises:
        ValueError: for keys that none of these has, or a diffusion schedule that is not the cosine one; all keys are named.
    """
    state = unwrap(checkpoint, _WRAPPERS)
    schedule = {name: state.pop(name) for name in SCHEDULE_NAMES if name in state}
    if schedule:
        expected = cosine_schedule(len(schedule['betas']))
        wrong = [name for name in SCHEDULE_NAMES if name not in schedule or
                 not torch.allclose(schedule[name].double(), expected[name], rtol=1e-5, atol=1e-7)]
        if wrong:
            raise ValueError(f'the checkpoint has another diffusion schedule than the cosine one: {", ".join(wrong)}')
    prior = any(key.removeprefix(_D3DP).startswith('kpattention.') for key in state)
    rule = _rules(prior)
    prefix = _DENOISER if schedule else _OURS
    result = _rename(state, lambda key: _apply(rule, key.removeprefix(_D3DP), prefix))
    if schedule:
        result = {_STEPS: expected['alphas_cumprod'].float(), **result}
    return result


def revert(checkpoint: Mapping) -> dict[str, Tensor]:
    """Our state dict to official names; the exact inverse of `convert`.

    Raises:
        ValueError: for keys that KTPFormer, MixSTE and D3DP do not have.
    """
    state = unwrap(checkpoint, _WRAPPERS)
    steps = state.pop(_STEPS, None)
    ours, official = (_OURS, '') if steps is None else (_DENOISER, _D3DP)
    rule = [(b, a) for a, b in _rules(f'{ours}spatial_prior.conv.weight' in state)]
    result = _rename(state, lambda key: _apply(rule, key[len(ours):], official) if key.startswith(ours) else None)
    return result if steps is None else {**cosine_schedule(len(steps)), **result}


def _rules(prior: bool) -> list[tuple[str, str]]:
    """Pairs of names, official and ours; where the prior blocks are apart, the others' numbers are shifted by one."""
    rules = [*_SHARED, *(_KTPFORMER if prior else _MIXSTE)]
    for official, ours in _STACKS:
        for index in range(64):
            place = f'{ours}.{index + prior}'
            rules += [(f'{official}.{index}.{a}', f'{place}.{b}') for a, b in (*_BLOCK, ('norm1', 'attention_norm'))]
    return rules


def _apply(rules: list[tuple[str, str]], key: str, prefix: str) -> str | None:
    for old, new in rules:
        if key == old or key.startswith(old + '.'):
            return prefix + new + key[len(old):]
    return None


def _rename(state: Mapping[str, Tensor], rule) -> dict[str, Tensor]:
    renamed, unknown = {}, []
    for key, value in state.items():
        new = rule(key)
        if new is None:
            unknown.append(key)
        else:
            renamed[new] = value
    if unknown or len(renamed) != len(state):
        shown = ', '.join(unknown[:5]) + (', ...' if len(unknown) > 5 else '')
        raise ValueError(f'{len(unknown)} of {len(state)} keys belong to none of KTPFormer, MixSTE and D3DP: {shown}')
    return renamed

