# Panoptic segmentation with large-scale jitter and panoptic copy-paste: what COCO, Cityscapes and ADE20K have in common.
# A data set's file names classes and files, jitter_scales, paste_scales and min_labelled; the paper's root config sets
# image_size = (height, width).
backend_args = None

# What happens to each of the two images that are mixed, but for the scales.
color_and_flip = [
    dict(type='SSDColorJitter'),
    dict(type='RandomFlip', prob=0.5),
]
load_with_segments = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='LoadPanopticSegments', backend_args=backend_args),
]
train_pipeline = [
    *load_with_segments,
    dict(type='LargeScaleJitter', size='${image_size}', scale_range='${jitter_scales}'),
    *color_and_flip,
    dict(type='PadToSize', size='${image_size}'),
    dict(type='PanopticCopyPaste', pipeline=[  # the second image
        *load_with_segments,
        dict(type='LargeScaleJitter', size='${image_size}', scale_range='${paste_scales}'),
        *color_and_flip,
    ]),
    # Drawn again: samples without a segment, or with too little that is labelled.
    dict(type='PackPanopticInputs', mask_stride=4, min_labelled='${min_labelled}'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='ResizeToFit', size='${image_size}'),
    dict(type='PackPanopticInputs'),
]

train_dataloader = dict(
    batch_size=8,  # 64 images = 8 GPUs x 8
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        data_root='${data_root}',
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_root='${data_root}',
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
