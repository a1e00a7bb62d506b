# COCO instance segmentation with large-scale jitter, as ViTDet trains. The root config sets image_size = (height, width).
data_root = 'data/coco/'
backend_args = None

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdet.RandomResize', scale='${image_size}', ratio_range=(0.1, 2.0), keep_ratio=True, resize_type='mmdet.Resize'),
    dict(type='mmdet.RandomCrop', crop_type='absolute', crop_size='${image_size}', recompute_bbox=True, allow_negative_crop=True),
    dict(type='mmdet.FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='mmdet.Pad', size='${image_size}', pad_val=dict(img=(104, 116, 124))),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='mmdet.Resize', scale='${image_size}', keep_ratio=True),
    dict(type='mmdet.Pad', size='${image_size}', pad_val=dict(img=(104, 116, 124))),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]

train_dataloader = dict(
    batch_size=8,  # 64 images = 8 GPUs x 8
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root='${data_root}',
        ann_file='annotations/instances_train2017.json',  # 118,287 images
        data_prefix=dict(img='train2017/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmdet.CocoDataset',
        data_root='${data_root}',
        ann_file='annotations/instances_val2017.json',  # 5,000 images
        data_prefix=dict(img='val2017/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='mmdet.CocoMetric',
        ann_file='${data_root}annotations/instances_val2017.json',
        metric=['bbox', 'segm'],
        format_only=False),
]
test_evaluator = val_evaluator
