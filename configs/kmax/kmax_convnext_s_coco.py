"""kMaX-DeepLab, ConvNeXt-S (ImageNet-22k), COCO panoptic (official model zoo: 56.7 PQ). 64 images a step."""
_base_ = 'kmax_r50_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='KMaXConvNeXt',
        arch='small',
        drop_path_rate=0.4,
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/convnext_small_22k_1k_384.pth')),
    head=dict(in_channels=(96, 192, 384, 768)))
