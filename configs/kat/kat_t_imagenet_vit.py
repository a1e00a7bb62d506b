"""KAT-T on ImageNet-1k from a ViT: the paper's table of ImageNet, row KAT-T initialised from ViT (75.7% top-1).

The ViT of the official recipe is AugReg's
Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224.
From timm's file of it:

    python tools/convert_checkpoint.py kat vit.pth data/weights/kat_t_from_vit.pth
"""
_base_ = 'kat_t_imagenet.py'

# The ViT's activation was gelu, so the rationals start there.
model = dict(backbone=dict(
    ffn=dict(act_init='gelu'),
    init_cfg=dict(type='Pretrained', checkpoint='data/weights/kat_t_from_vit.pth')))
