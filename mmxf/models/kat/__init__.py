"""KAT: Kolmogorov-Arnold Transformer.

Xingyi Yang and Xinchao Wang, ICLR 2025, https://arxiv.org/abs/2409.10594. Official code: Adamdad/kat @ecb0eb7 (models) and
Adamdad/rational_kat_cu @181bae8 (kernels); where its kernels lose time: FlashKAT, https://arxiv.org/abs/2505.13813,
OSU-STARLAB/FlashKAT @adb7aee.

What it adds: in place of a transformer's MLP two group-rational KAN layers. Channels are parted into groups, each with a learned
rational function P(x) / Q(x), before each linear layer; the first starts as the identity, the second as swish.

Read in this order: mmxf/ops/rational.py (the function and its kernels), fit.py (where coefficients start), grkan.py (the layer),
attention.py, backbone.py; pyramid.py for detection, vit.py for GRKAN in mmsegmentation's ViT, convert.py for checkpoints.

Where we deviate from the official code:

- The function is that of its kernels, which published models were trained with; its pure-torch fallback is another one.
- Coefficients' gradients are summed in registers and per program, not by atomics: the same bits in every run.
- With 16-bit inputs the results are 16-bit, computed in float32 inside; the official kernels cast to float32 under AMP.
- Non-contiguous inputs give right numbers.
- First coefficients are fitted (fit.py). Of gelu the published table belongs to another denominator; ours is next to gelu under
  the denominator in use.
- Other image sizes are served by resizing the position embedding in the forward pass.
- The official code has no detection or segmentation (the paper's are ViTDet's Mask R-CNN and UPerNet); those parts follow ViTDet
  (windows of 14 patches, four blocks of global attention, simple feature pyramid) without its relative positions, and mmseg's.
"""
from .backbone import KAT
from .grkan import GRKAN, Rational
from .pyramid import SimpleFeaturePyramid
from .vit import FFNVisionTransformer

__all__ = ['GRKAN', 'KAT', 'FFNVisionTransformer', 'Rational', 'SimpleFeaturePyramid']
