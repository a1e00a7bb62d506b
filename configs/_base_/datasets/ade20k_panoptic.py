# ADE20K panoptic (150 classes), with large-scale jitter and panoptic copy-paste.
# The paper's root config sets image_size = (height, width).
data_root = 'data/ADEChallengeData2016/'
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
    dict(type='LargeScaleJitter', size='${image_size}', scale_range=(0.5, 2.0)),
    *color_and_flip,
    dict(type='PadToSize', size='${image_size}'),
    dict(type='PanopticCopyPaste', pipeline=[  # the second image: scales half of the first's
        *load_with_segments,
        dict(type='LargeScaleJitter', size='${image_size}', scale_range=(0.25, 1.0)),
        *color_and_flip,
    ]),
    # Drawn again: samples without a segment, or with at most 4096 labelled pixels of the 321x321 at crop 1281x1281.
    dict(type='PackPanopticInputs', mask_stride=4, min_labelled=4096 / 321**2),
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
        type='ADE20KPanoptic',
        data_root='${data_root}',
        ann_file='ade20k_panoptic_train.json',  # 20,210 images
        data_prefix=dict(img='images/training/', seg='ade20k_panoptic_train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ADE20KPanoptic',
        data_root='${data_root}',
        ann_file='ade20k_panoptic_val.json',  # 2,000 images
        data_prefix=dict(img='images/validation/', seg='ade20k_panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='PanopticMetric',
        ann_file='${data_root}ade20k_panoptic_val.json',
        seg_prefix='${data_root}ade20k_panoptic_val/'),
    dict(
        type='SemanticMetric',
        map_path=[('images/', 'annotations/'), ('.jpg', '.png')],
        reduce_zero_label=True),
]
test_evaluator = [  # and, which would make validation slower: AP; no two instances overlap, so they are the things
    *val_evaluator,
    dict(
        type='InstanceMetric',
        ann_file='${data_root}ade20k_panoptic_val.json',
        seg_prefix='${data_root}ade20k_panoptic_val/'),
]
