"""kMaX-DeepLab, ConvNeXt-L (ImageNet-22k), ADE20K panoptic (official model zoo: 50.0 PQ; paper: 50.9 PQ, 55.2 mIoU)."""
_base_ = 'kmax_r50_ade20k.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='KMaXConvNeXt',
        arch='large',
        drop_path_rate=0.7,
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/convnext_large_22k_1k_384.pth')),
    head=dict(in_channels=(192, 384, 768, 1536)))
