"""KAT small enough to learn MiniWorld's objects on two CPU cores in two minutes, from random weights. Not a row of the paper."""
_base_ = [
    '../_base_/datasets/miniworld_crops.py',
    '../_base_/default_runtime.py',
]

image_size = (64, 64)
channels = 96

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(type='ClassificationPreprocessor', num_classes='${num_classes}', smoothing=0.1),
    backbone=dict(
        type='KAT',
        arch=dict(channels='${channels}', depth=6, num_heads=4),
        img_size='${image_size}',
        patch_size=8,
        out_type='average'),
    head=dict(type='LinearHead', in_channels='${channels}', num_classes='${num_classes}'))
num_classes = 4

# The first validation comes early, to show where it starts.
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=240, val_interval=20, dynamic_intervals=[(22, 120)])
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=False, begin=30, end=240),
]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=120, max_keep_ckpts=1))
log_processor = dict(window_size=20)
randomness = dict(seed=0)
