"""OmniFusion small enough to learn MiniWorld's rooms on two CPU cores in about three minutes, from random weights.

Not a row of the paper: ResNet-18 of a quarter of the width, patches of 32 x 32 pixels, panoramas of 64 x 128.
"""
_base_ = [
    '../_base_/datasets/miniworld_depth.py',
    '../_base_/default_runtime.py',
]

image_size = (64, 128)

model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(type='DepthPreprocessor', mean=(127.5, 127.5, 127.5), std=(64., 64., 64.)),
    backbone=dict(
        type='OmniFusion',
        rows=4,
        fov=80.0,
        patch_size=32,
        geometry='centre',
        encoder=dict(type='DepthResNet', depth=18, base_channels=16),
        transformer=dict(type='PatchTransformer', depth=2, num_heads=4),
        decoder=dict(type='DepthDecoder', channels=((64, 64), (64, 32), (32, 32), (32, 16), (16,)))),
    losses=dict(depth=dict(type='BerHuLoss')))

train_dataloader = dict(batch_size=8)
val_dataloader = dict(batch_size=8)
test_dataloader = val_dataloader
# The first validation comes early, to show where it starts.
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=600, val_interval=20, dynamic_intervals=[(21, 200)])
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.01), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, begin=0, end=30),
    dict(type='PolyLR', by_epoch=False, power=0.9, eta_min=2e-5, begin=30, end=600)]
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=200, max_keep_ckpts=2))
log_processor = dict(window_size=20)
randomness = dict(seed=0)
