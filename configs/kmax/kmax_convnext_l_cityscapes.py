"""kMaX-DeepLab, ConvNeXt-L (ImageNet-22k), Cityscapes panoptic (official model zoo: 68.4 PQ, 45.1 AP, 83.0 mIoU)."""
_base_ = 'kmax_r50_cityscapes.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='KMaXConvNeXt',
        arch='large',
        out_stem=True,
        drop_path_rate=0.6,
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/convnext_large_22k_1k_384.pth')),
    head=dict(
        in_channels=(192, 192, 384, 768, 1536),
        # The official ConvNeXt calls its stem finer than the first stage, so here it enters last.
        pixel_decoder=dict(in_index=(4, 3, 2, 1, 0))))
