"""KTPFormer small enough to learn MiniWorld's people on two CPU cores in about two minutes, from random weights.

Not a row of the paper: an eighth of the channels, a quarter of the depth, and every fourth frame, so that a window lasts two
seconds.
"""
_base_ = [
    '../_base_/datasets/miniworld_people.py',
    '../_base_/default_runtime.py',
]

num_frames = 27
stride = 4
model = dict(
    type='PoseLifter',
    skeleton='${skeleton}',
    windows_per_batch=64,
    backbone=dict(
        type='KTPFormer',
        skeleton='${skeleton}',
        num_frames='${num_frames}',
        channels=64,
        depth=2,
        num_heads=4,
        mlp_ratio=2.0,
        drop_path=0.0,
        position_std=1.0,          # a short schedule cannot wait until positions that start at 0 tell joints apart
        spatial_prior=dict(type='KinematicsPrior'),
        temporal_prior=dict(type='TrajectoryPrior')),
    loss=dict(type='PoseLiftingLoss', skeleton='${skeleton}', consistency_weight=0.5, velocity_weight=2.0))

train_dataloader = dict(dataset=dict(stride='${stride}'))
val_dataloader = dict(dataset=dict(stride='${stride}'))
test_dataloader = val_dataloader
# The first validation comes early, to show where it starts.
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=900, val_interval=10, dynamic_intervals=[(11, 450)])
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, begin=0, end=30),
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=2e-5, begin=30, end=900)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=150, max_keep_ckpts=2))
log_processor = dict(window_size=20)
randomness = dict(seed=0)
