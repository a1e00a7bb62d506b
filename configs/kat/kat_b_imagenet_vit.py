"""KAT-B on ImageNet-1k from a ViT: the paper's table of ImageNet, row KAT-B initialised from ViT (82.8% top-1).

The ViT of the official recipe is AugReg's
B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0.
From timm's file of it:

    python tools/convert_checkpoint.py kat vit.pth data/weights/kat_b_from_vit.pth
"""
_base_ = 'kat_b_imagenet.py'

# The ViT's activation was gelu, so the rationals start there.
model = dict(backbone=dict(
    ffn=dict(act_init='gelu'),
    init_cfg=dict(type='Pretrained', checkpoint='data/weights/kat_b_from_vit.pth')))
