"""kMaX-DeepLab, ConvNeXt-L (ImageNet-22k), COCO panoptic (official model zoo: 57.9 PQ). 64 images a step."""
_base_ = 'kmax_r50_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='KMaXConvNeXt',
        arch='large',
        drop_path_rate=0.6,
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/convnext_large_22k_1k_384.pth')),
    head=dict(in_channels=(192, 384, 768, 1536)))
