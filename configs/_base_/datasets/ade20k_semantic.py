# ADE20K semantic segmentation (150 classes) as mmsegmentation trains on it. The root config sets image_size = (height, width).
data_root = 'data/ADEChallengeData2016/'
backend_args = None

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='mmseg.LoadAnnotations', reduce_zero_label=True),
    dict(type='mmseg.RandomResize', scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='mmseg.RandomCrop', crop_size='${image_size}', cat_max_ratio=0.75),
    dict(type='mmseg.RandomFlip', prob=0.5),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='mmseg.Resize', scale=(2048, 512), keep_ratio=True),
    dict(type='mmseg.LoadAnnotations', reduce_zero_label=True),
    dict(type='mmseg.PackSegInputs'),
]

train_dataloader = dict(
    batch_size=2,  # 16 images = 8 GPUs x 2
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmseg.ADE20KDataset',
        data_root='${data_root}',
        data_prefix=dict(img_path='images/training', seg_map_path='annotations/training'),  # 20,210 images
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmseg.ADE20KDataset',
        data_root='${data_root}',
        data_prefix=dict(img_path='images/validation', seg_map_path='annotations/validation'),  # 2,000 images
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='mmseg.IoUMetric', iou_metrics=['mIoU'])]
test_evaluator = val_evaluator
