"""UPerNet with a small KAT on MiniWorld, on two CPU cores in two minutes, from random weights. Not a row of the paper."""
_base_ = 'kat_t_ade20k.py'

data_root = 'data/miniworld/'
image_size = (128, 128)
channels = 96
num_classes = 11
norm_cfg = dict(type='GN', num_groups=8)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticSegments'),
    dict(type='SegmentsToClasses'),
    dict(type='mmseg.RandomFlip', prob=0.5),
    dict(type='mmseg.PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.PackSegInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape')),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='MiniWorldPanoptic',
        data_root='${data_root}',
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='panoptic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        _delete_=True,
        type='MiniWorldPanoptic',
        data_root='${data_root}',
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = [
    dict(
        type='SemanticMetric',
        ann_file='${data_root}annotations/panoptic_val.json',
        seg_prefix='${data_root}panoptic_val/'),
]
test_evaluator = val_evaluator

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, channels='${channels}', depth=6, num_heads=4),
        patch_size=8,
        out_indices=(1, 2, 4, 5),
        drop_path_rate=0.,
        init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    decode_head=dict(channels=64, norm_cfg=norm_cfg),
    auxiliary_head=dict(channels=32, norm_cfg=norm_cfg))

train_cfg = dict(max_iters=180, val_interval=20, dynamic_intervals=[(22, 90)])
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=20),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=20, end=180),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=90, max_keep_ckpts=1))
log_processor = dict(window_size=20)
randomness = dict(seed=0)
