# MiniWorld's things, cut out and labelled by their class: python tools/make_miniworld.py
# A root config may set another image_size = (height, width).
data_root = 'data/miniworld/'
image_size = (64, 64)
classes = ('person', 'sphere', 'box', 'cylinder')

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CropToBox'),
    dict(type='RandomResizedCrop', size='${image_size}', area=(0.5, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackClassificationInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='CropToBox'),
    dict(type='Resize', scale='${image_size}', keep_ratio=False, backend='pillow', interpolation='bicubic'),
    dict(type='PackClassificationInputs'),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        type='ObjectCrops',
        dataset=dict(
            type='mmdet.CocoDataset',
            data_root='${data_root}',
            ann_file='annotations/instances_train.json',
            data_prefix=dict(img='train/'),
            metainfo=dict(classes='${classes}')),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ObjectCrops',
        dataset=dict(
            type='mmdet.CocoDataset',
            data_root='${data_root}',
            ann_file='annotations/instances_val.json',
            data_prefix=dict(img='val/'),
            metainfo=dict(classes='${classes}'),
            test_mode=True),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='ClassificationMetric', topk=(1,))]
test_evaluator = val_evaluator
