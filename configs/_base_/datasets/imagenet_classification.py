# ImageNet-1k classification as DeiT-like recipes train: random crops, RandAugment m9 mstd0.5; mixing and erasing happen in the
# model's data preprocessor. The paper's root config sets image_size = (height, width).
data_root = 'data/imagenet/'
backend_args = None
num_classes = 1000    # class list: the folders' names

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='RandomResizedCrop', size='${image_size}', area=(0.08, 1.0)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandAugment', num_ops=2, magnitude=9, magnitude_std=0.5),
    dict(type='PackClassificationInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    # 224 / 0.875 = 256, the shorter side; Pillow's bicubic filter does not alias.
    dict(type='Resize', scale=(256, 100000), keep_ratio=True, backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size='${image_size}'),
    dict(type='PackClassificationInputs'),
]

train_dataloader = dict(
    batch_size=128,  # 1024 images = 8 GPUs x 128
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        type='ImageFolder',
        data_root='${data_root}',
        data_prefix=dict(img='train'),  # 1,281,167 images
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageFolder',
        data_root='${data_root}',
        data_prefix=dict(img='val'),  # 50,000 images
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='ClassificationMetric', topk=(1, 5))]
test_evaluator = val_evaluator
