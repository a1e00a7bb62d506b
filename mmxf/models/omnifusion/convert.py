"""Official checkpoints of OmniFusion, of one pass and of several, to ours and back.

The official encoder and decoder are 3-D convolutions whose last kernel axis has size 1 (it runs over patches); ours are 2-D.
"""
from collections.abc import Mapping

from torch import Tensor

from mmxf.engine.official_weights import unwrap

# Official beginnings of names and ours; the first that fits counts.
_SHARED = (
    *((f'{name}.', f'encoder.{name}.') for name in ('conv1', 'bn1', 'layer1', 'layer2', 'layer3', 'layer4')),
    ('transformer.layer.', 'transformer.blocks.'), ('transformer.encoder_norm.', 'transformer.norm.'),
    ('transformer.pos_emb', 'transformer.position'),
    *((f'de_conv{step}_0.', f'decoder.before.{step}.') for step in range(5)),
    *((f'de_conv{step}_1.', f'decoder.after.{step}.') for step in range(4)),
    ('pred.', 'decoder.depth.'), ('weight_pred.', 'decoder.confidence.'))
_SINGLE = (*_SHARED, ('down.', 'transformer.down.'), ('mlp_points.', 'first_embedding.'))
_SEVERAL = (*_SHARED, ('down1.', 'transformer.down.'), ('mlp_points1.', 'first_embedding.'), ('mlp_points2.', 'later_embedding.'))
_PREFIX = 'backbone.'


def convert(checkpoint: Mapping) -> dict[str, Tensor]:
    """An official state dict to ours.

    Raises:
        ValueError: for keys that OmniFusion does not have; they are named.
    """
    state = unwrap(checkpoint)
    rules = _SEVERAL if any(key.startswith('mlp_points1.') for key in state) else _SINGLE
    renamed = _rename(state, rules, '', _PREFIX)
    return {key: value.squeeze(-1) if value.dim() == 5 else value for key, value in renamed.items()}


def revert(checkpoint: Mapping) -> dict[str, Tensor]:
    """Our state dict to official names; the exact inverse of `convert`.

    Raises:
        ValueError: for keys that OmniFusion does not have.
    """
    state = unwrap(checkpoint)
    rules = _SEVERAL if any(key.startswith(f'{_PREFIX}later_embedding.') for key in state) else _SINGLE
    renamed = _rename(state, [(ours, official) for official, ours in rules], _PREFIX, '')
    return {key: value.unsqueeze(-1) if value.dim() == 4 and not key.startswith('mlp_points') else value
            for key, value in renamed.items()}


def _rename(state: Mapping[str, Tensor], rules, old_prefix: str, new_prefix: str) -> dict[str, Tensor]:
    renamed, unknown = {}, []
    for key, value in state.items():
        bare = key[len(old_prefix):] if key.startswith(old_prefix) else ''
        new = next((new_prefix + new + bare[len(old):] for old, new in rules if bare.startswith(old)), None)
        if new is None:
            unknown.append(key)
        else:
            renamed[new] = value
    if unknown:
        shown = ', '.join(unknown[:5]) + (', ...' if len(unknown) > 5 else '')
        raise ValueError(f'{len(unknown)} of {len(state)} keys do not belong to OmniFusion: {shown}')
    return renamed
