"""kMaX-DeepLab, ResNet-50, Cityscapes panoptic (official model zoo: 63.5 PQ, 38.6 AP, 79.5 mIoU). 32 images a step."""
_base_ = [
    '_base_/r50.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/kmax_cityscapes_60k.py',
    '../_base_/default_runtime.py',
]

image_size = (1025, 2049)

model = dict(
    backbone=dict(out_stem=True),
    head=dict(
        in_channels=(64, 256, 512, 1024, 2048),    # pooled stem (stride 4), strides 4, 8, 16, 32
        pixel_decoder=dict(
            in_index=(4, 3, 2, 0, 1),              # the stem enters before the first stage: both have stride 4
            base_channels=(512, 256, 128, 64, 32),
            num_blocks=(1, 5, 1, 1, 1),
            block_types=('axial', 'axial', 'bottleneck', 'bottleneck', 'bottleneck')),
        decoder=dict(num_queries=256, final_channels=128),
        auxiliary=dict(_delete_=True, type='KMaXSemanticHead', in_index=4),
        loss=dict(
            sample_exponent=0.6,
            semantic_sample_size=0,                # all pixels
            semantic_sample_exponent=1.0),
        thing_threshold=0.5,
        stuff_threshold=0.3,
        overlap_threshold=0.9,
        mask_exponent=0.0),
    val_outputs=('panoptic', 'semantic'))

tta_model = dict(type='PanopticTTA', scales=(1.0,), flip=True)
