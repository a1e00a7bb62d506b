"""Mask R-CNN with a small KAT on MiniWorld's things, on two CPU cores, from random weights. Not a row of the paper."""
_base_ = 'kat_s_coco.py'

data_root = 'data/miniworld/'
image_size = (128, 128)
channels = 96
classes = ('person', 'sphere', 'box', 'cylinder')
norm_cfg = dict(type='GN', num_groups=8)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='mmdet.RandomFlip', prob=0.5),
    dict(type='mmdet.Resize', scale='${image_size}', keep_ratio=True),
    dict(type='mmdet.FilterAnnotations', min_gt_bbox_wh=(2, 2)),
    dict(type='mmdet.PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmdet.Resize', scale='${image_size}', keep_ratio=True),
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True),
    dict(
        type='mmdet.PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        metainfo=dict(classes='${classes}'),
        ann_file='annotations/instances_train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True, min_size=16),
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        metainfo=dict(classes='${classes}'),
        ann_file='annotations/instances_val.json',
        data_prefix=dict(img='val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='mmdet.CocoMetric',
        ann_file='${data_root}annotations/instances_val.json',
        metric=['bbox', 'segm'],
        format_only=False),
]
test_evaluator = val_evaluator

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels='${channels}', depth=6, num_heads=4),
        patch_size=8,
        window=8,
        global_indices=(2, 5),
        drop_path_rate=0.,
        init_cfg=None),
    neck=dict(out_channels=64, scales=(2, 1, 0.5), extra_level=False),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        num_convs=1,
        anchor_generator=dict(scales=[4], strides=[4, 8, 16])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64, featmap_strides=[4, 8, 16], finest_scale=16),
        bbox_head=dict(
            type='mmdet.Shared2FCBBoxHead', _delete_=True, in_channels=64, fc_out_channels=128, roi_feat_size=7, num_classes=4,
            bbox_coder=dict(
                type='mmdet.DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=True,
            loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0)),
        mask_roi_extractor=dict(out_channels=64, featmap_strides=[4, 8, 16], finest_scale=16),
        mask_head=dict(in_channels=64, conv_out_channels=32, num_convs=1, num_classes=4, norm_cfg=norm_cfg)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)))

train_cfg = dict(max_iters=400, val_interval=20, dynamic_intervals=[(22, 200)])
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=40),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=40, end=400),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200, max_keep_ckpts=1))
log_processor = dict(window_size=20)
randomness = dict(seed=0)
