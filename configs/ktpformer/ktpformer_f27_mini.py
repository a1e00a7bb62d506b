"""KTPFormer small enough to learn MiniWorld's people on two CPU cores in about two minutes, from random weights.

Not a row of the paper: a quarter of the channels, half of the depth.
"""
_base_ = [
    '../_base_/datasets/miniworld_people.py',
    '../_base_/default_runtime.py',
]

num_frames = 27
model = dict(
    type='PoseLifter',
    skeleton='${skeleton}',
    windows_per_batch=64,
    backbone=dict(
        type='KTPFormer',
        skeleton='${skeleton}',
        num_frames='${num_frames}',
        channels=64,
        depth=3,
        num_heads=4,
        mlp_ratio=2.0,
        drop_path=0.0,
        spatial_prior=dict(type='KinematicsPrior'),
        temporal_prior=dict(type='TrajectoryPrior')),
    loss=dict(type='PoseLiftingLoss', skeleton='${skeleton}', consistency_weight=0.5, velocity_weight=2.0))

train_dataloader = dict(batch_size=8)
# The first validation comes early, to show where it starts.
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=900, val_interval=10, dynamic_intervals=[(11, 450)])
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
# What tells joints apart starts alike for all (positions at 0, modulations at 1); a short schedule cannot wait for them.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01),
    clip_grad=dict(max_norm=5.0),
    paramwise_cfg=dict(custom_keys={
        'spatial_position': dict(lr_mult=15.), 'temporal_position': dict(lr_mult=15.), 'modulation': dict(lr_mult=15.)}))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, begin=0, end=30),
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=2e-5, begin=30, end=900)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=150, max_keep_ckpts=2))
log_processor = dict(window_size=20)
randomness = dict(seed=0)
