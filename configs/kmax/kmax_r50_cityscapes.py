"""kMaX-DeepLab, ResNet-50, Cityscapes panoptic (official model zoo: 63.5 PQ, 38.6 AP, 79.5 mIoU). 32 images a step."""
_base_ = [
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/kmax_cityscapes_60k.py',
    '../_base_/default_runtime.py',
]

image_size = (1025, 2049)
sync_bn = 'torch'

model = dict(
    type='PanopticSegmentor',
    data_preprocessor=dict(
        type='SegmentationPreprocessor',
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        bgr_to_rgb=True,
        pad_to='${image_size}'),
    backbone=dict(
        type='KMaXResNet',
        depth=50,
        out_stem=True,
        norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01),
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/resnet50.pth')),
    head=dict(
        type='KMaXHead',
        num_classes='${num_classes}',
        thing_labels='${thing_labels}',
        in_channels=(64, 256, 512, 1024, 2048),    # pooled stem (stride 4), strides 4, 8, 16, 32
        pixel_decoder=dict(
            type='KMaXPixelDecoder',
            in_index=(4, 3, 2, 0, 1),              # the stem enters before the first stage: both have stride 4
            base_channels=(512, 256, 128, 64, 32),
            num_blocks=(1, 5, 1, 1, 1),
            block_types=('axial', 'axial', 'bottleneck', 'bottleneck', 'bottleneck')),
        decoder=dict(
            type='KMaXDecoder',
            num_queries=256,
            num_layers=(2, 2, 2),
            pixel_channels=(2048, 1024, 512),
            final_channels=128,
            drop_path=0.2),
        auxiliary=dict(type='KMaXSemanticHead', in_index=4),
        loss=dict(
            type='KMaXLoss',
            class_weight=3.0,
            dice_weight=3.0,
            mask_weight=0.3,
            discrimination_weight=1.0,
            semantic_weight=1.0,
            min_weight=1e-5,
            sample_size=4096,
            sample_exponent=0.6,
            discrimination_temperature=0.3,
            semantic_sample_size=0,                # all pixels
            semantic_sample_exponent=1.0),
        pixel_threshold=0.4,
        thing_threshold=0.5,
        stuff_threshold=0.3,
        overlap_threshold=0.9,
        class_exponent=1.0,
        mask_exponent=0.0),
    outputs=('panoptic', 'instance', 'semantic'),
    val_outputs=('panoptic', 'semantic'))

tta_model = dict(type='PanopticTTA', scales=(1.0,), flip=True)
