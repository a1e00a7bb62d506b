"""kMaX-DeepLab, ConvNeXt-B (ImageNet-22k), COCO panoptic (official model zoo: 57.2 PQ). 64 images a step."""
_base_ = 'kmax_r50_coco.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='KMaXConvNeXt',
        arch='base',
        drop_path_rate=0.5,
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/convnext_base_22k_1k_384.pth')),
    head=dict(in_channels=(128, 256, 512, 1024)))
