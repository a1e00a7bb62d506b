"""Official checkpoints to ours and back.

Names are translated module by module with the table below; whatever follows a module's name (``.conv.weight``,
``.norm.running_var`` ...) is the same on both sides. ``{}`` stands for a number.
"""
import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from mmxf.engine.official_weights import unwrap

_DECODER, _PREDICTOR = 'sem_seg_head.pixel_decoder', 'sem_seg_head.predictor'
_AXES = (('_height_axis', 'middle.0'), ('_width_axis', 'middle.1'))
_HEAD = (('_pixel_space_head_conv0bnact', 'pixel_head.0'), ('_pixel_space_head_conv1bnact', 'pixel_head.1'),
         ('_pixel_space_head_last_convbn', 'pixel_embed'), ('_transformer_mask_head', 'mask_embed'),
         ('_transformer_class_head', 'class_head'), ('_pixel_space_mask_batch_norm', 'mask_norm'))
_LAYER = (('_query_conv1_bn_act', 'query_conv'), ('_pixel_conv1_bn_act', 'pixel_conv'),
          ('_query_qkv_conv_bn', 'query_qkv'), ('_pixel_v_conv_bn', 'pixel_value'),
          ('_query_self_attention._batch_norm_similarity', 'attention.similarity_norm'),
          ('_query_self_attention._batch_norm_retrieved_value', 'attention.output_norm'),
          ('_query_conv3_bn', 'attention_conv'), ('_query_ffn_conv1_bn_act', 'ffn.0'),
          ('_query_ffn_conv2_bn', 'ffn.1'), ('_kmeans_query_batch_norm_retrieved_value', 'update_norm'),
          ('_kmeans_query_conv3_bn', 'update_conv'),
          *((f'_predcitor.{a}', f'predictor.{b}') for a, b in _HEAD))     # the typo is the official name
_AUXILIARY = (('_aspp._aspp_conv{}', 'aspp.convs.{}'), ('_aspp._aspp_pool', 'aspp.pool'),
              ('_aspp._proj_conv_bn_act', 'aspp.project'), ('_low_level_projection_os8', 'skips.0'),
              ('_low_level_projection_os4', 'skips.1'), ('_low_level_fusion_os8_conv{}_bn_act', 'fusions.0.{}'),
              ('_low_level_fusion_os4_conv{}_bn_act', 'fusions.1.{}'), ('conv_block_{}', 'head.{}'),
              ('final_conv', 'classifier'), ('0', 'head.0'), ('1', 'head.1'), ('2', 'classifier'))
_BLOCK = (('_conv1_bn_act', 'conv1'), ('_conv2_bn_act', 'middle'), ('_conv3_bn', 'conv3'), ('_shortcut', 'shortcut'),
          *((f'_attention.{a}.{c}', f'{b}.{d}') for a, b in _AXES for c, d in (
              ('qkv_transform', 'qkv'), ('_batch_norm_qkv', 'qkv.norm'), ('_query_rpe._embeddings', 'query_rpe'),
              ('_key_rpe._embeddings', 'key_rpe'), ('_value_rpe._embeddings', 'value_rpe'),
              ('_batch_norm_similarity', 'similarity_norm'), ('_batch_norm_retrieved_output', 'output_norm'))))
HEAD_NAMES = (
    (f'{_DECODER}._in_norms.{{}}', 'head.pixel_decoder.in_norms.{}'),
    *((f'{_DECODER}._stages.{{}}._blocks.{{}}.{a}', f'head.pixel_decoder.stages.{{}}.{{}}.{b}') for a, b in _BLOCK),
    (f'{_DECODER}._resized_fuses.{{}}._conv_bn_low', 'head.pixel_decoder.fuses.{}.low'),
    (f'{_DECODER}._resized_fuses.{{}}._conv_bn_high', 'head.pixel_decoder.fuses.{}.high'),
    *((f'{_PREDICTOR}._kmax_transformer_layers.{{}}.{a}', f'head.decoder.layers.{{}}.{b}') for a, b in _LAYER),
    *((f'{_PREDICTOR}._predcitor.{a}', f'head.decoder.predictor.{b}') for a, b in _HEAD),
    (f'{_PREDICTOR}._class_embedding_projection', 'head.decoder.class_projection'),
    (f'{_PREDICTOR}._mask_embedding_projection', 'head.decoder.mask_projection'),
    *((f'{_PREDICTOR}._auxiliary_semantic_predictor.{a}', f'head.auxiliary.{b}') for a, b in _AUXILIARY),
)
RESNET_NAMES = (
    ('stem.conv1.norm', 'bn1'), ('stem.conv1', 'conv1'),
    *((f'res{i + 1}.{{}}.conv{j}.norm', f'layer{i}.{{}}.bn{j}') for i in (1, 2, 3, 4) for j in (1, 2, 3)),
    *((f'res{i + 1}.{{}}.conv{j}', f'layer{i}.{{}}.conv{j}') for i in (1, 2, 3, 4) for j in (1, 2, 3)),
    *((f'res{i + 1}.{{}}.shortcut.norm', f'layer{i}.{{}}.downsample.1') for i in (1, 2, 3, 4)),
    *((f'res{i + 1}.{{}}.shortcut', f'layer{i}.{{}}.downsample.0') for i in (1, 2, 3, 4)),
)
CONVNEXT_NAMES = (
    ('downsample_layers.{}.{}', 'downsamples.{}.{}'), ('stages.{}.{}.dwconv', 'stages.{}.{}.depthwise_conv'),
    ('stages.{}.{}.pwconv1', 'stages.{}.{}.pointwise_conv1'),
    ('stages.{}.{}.pwconv2', 'stages.{}.{}.pointwise_conv2'),
    ('stages.{}.{}.norm', 'stages.{}.{}.norm'), ('stages.{}.{}', 'stages.{}.{}'),    # the last carries .gamma
)
# Classifiers of ImageNet checkpoints, which no dense model has.
_CLASSIFIER = re.compile(r'(stem\.)?fc\.|head\.|norm\.(weight|bias)$')
_AXIAL_QKV = re.compile(r'\._attention\._(height|width)_axis\.qkv_transform\.conv\.weight$')
_CENTERS = (f'{_PREDICTOR}._cluster_centers.weight', 'head.decoder.cluster_centers')


class _Renamer:
    """Translates keys by templates of module names; the longest that fits wins."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.rules = [(re.compile(re.escape(a).replace(r'\{\}', r'(\d+)') + r'(?=\.)'), b)
                      for a, b in sorted(pairs, key=lambda pair: -len(pair[0]))]

    def __call__(self, key: str) -> str | None:
        for pattern, template in self.rules:
            found = pattern.match(key)
            if found:
                return template.format(*found.groups()) + key[found.end():]
        return None


def _backbone_names(prefix: str) -> list[tuple[str, str]]:
    return [(prefix + a, prefix + b) for a, b in RESNET_NAMES + CONVNEXT_NAMES]


_TO_OURS = _Renamer([*HEAD_NAMES, *_backbone_names('backbone.')])
# Cityscapes' auxiliary head is a plain sequence, whose numbers would else be confused with the decoder's names.
_SEQUENCE = tuple(f'{_PREDICTOR}._auxiliary_semantic_predictor.{i}' for i in range(3))
_TO_OFFICIAL = _Renamer([(b, a) for a, b in (*HEAD_NAMES, *_backbone_names('backbone.')) if a not in _SEQUENCE])
_TO_OFFICIAL_CITYSCAPES = _Renamer([(b, a) for a, b in HEAD_NAMES if a in _SEQUENCE])
_BACKBONE = _Renamer(_backbone_names(''))


def convert(checkpoint: Mapping) -> dict[str, Tensor]:
    """An official kMaX-DeepLab state dict, or a backbone's, to ours.

    Args:
        checkpoint: official kMaX-DeepLab; detectron2's or torchvision's ResNet; or official ConvNeXt. The three backbones give
            weights for ``init_cfg=dict(type='Pretrained', checkpoint=...)`` of the backbone; their classifiers are dropped.

    Returns:
        our state dict.

    Raises:
        ValueError: for keys that none of these has; all are named.
    """
    state = unwrap(checkpoint)
    if any(key.startswith('sem_seg_head.') for key in state):
        return _rename(state, _official_to_ours)
    # detectron2 writes its pixel statistics beside some checkpoints.
    state = {key.removeprefix('backbone.'): value for key, value in state.items()}
    state = {key: value for key, value in state.items()
             if not _CLASSIFIER.match(key) and key not in ('pixel_mean', 'pixel_std')}
    if 'layer1.0.conv1.weight' in state:
        return _rename(state, lambda key: key if re.match(r'(conv1|bn1|layer[1-4]\.)', key) else None)
    return _rename(state, _BACKBONE)


def revert(checkpoint: Mapping) -> dict[str, Tensor]:
    """Our kMaX-DeepLab state dict to official keys and shapes; the exact inverse of `convert`.

    Raises:
        ValueError: for keys that kMaX-DeepLab does not have.
    """
    state = unwrap(checkpoint)
    cityscapes = 'head.auxiliary.aspp.pool.conv.weight' not in state
    return _rename(state, lambda key: _ours_to_official(key, cityscapes), reverse=True)


def _official_to_ours(key: str) -> str | None:
    return _CENTERS[1] if key == _CENTERS[0] else _TO_OURS(key)


def _ours_to_official(key: str, cityscapes: bool) -> str | None:
    if key == _CENTERS[1]:
        return _CENTERS[0]
    if cityscapes and key.startswith('head.auxiliary.'):
        return _TO_OFFICIAL_CITYSCAPES(key)
    return _TO_OFFICIAL(key)


def _rename(state: Mapping[str, Tensor], rule, reverse: bool = False) -> dict[str, Tensor]:
    renamed, unknown = {}, []
    for key, value in state.items():
        new = rule(key)
        if new is None:
            unknown.append(key)
            continue
        # The official axial attention keeps its projection as a 1-D convolution, ours as a 2-D one.
        if _AXIAL_QKV.search(new if reverse else key):
            value = value.squeeze(-1) if reverse else value.unsqueeze(-1)
        renamed[new] = value
    if unknown or len(renamed) != len(state):
        shown = ', '.join(unknown[:5]) + (', ...' if len(unknown) > 5 else '')
        raise ValueError(f'{len(unknown)} of {len(state)} keys belong neither to kMaX-DeepLab nor to a ResNet or ConvNeXt '
                         f'as detectron2, torchvision or ConvNeXt name them: {shown}')
    return renamed
