# MiniWorld panoptic, the built-in data: python tools/make_miniworld.py --root data/miniworld --train 600 --val 60
# --size 128 128. A root config may set another image_size = (height, width).
data_root = 'data/miniworld/'
image_size = (128, 128)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticSegments'),
    dict(type='LargeScaleJitter', size='${image_size}', scale_range=(0.8, 1.4)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PadToSize', size='${image_size}'),
    # Samples with fewer labelled pixels (of 32x32) are drawn again.
    dict(type='PackPanopticInputs', mask_stride=4, min_labelled=256),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeToFit', size='${image_size}'),
    dict(type='PackPanopticInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        type='MiniWorldPanoptic',
        data_root='${data_root}',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='panoptic_train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='MiniWorldPanoptic',
        data_root='${data_root}',
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='PanopticMetric',
        ann_file='${data_root}annotations/panoptic_val.json',
        seg_prefix='${data_root}panoptic_val/'),
]
test_evaluator = val_evaluator
