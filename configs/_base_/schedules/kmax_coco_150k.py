# kMaX-DeepLab on COCO panoptic: 150k iterations, batch 64.
#
# 150,000 iterations x 64 images / 118,287 training images = 81 epochs.
# Warm-up: 5,000 x 64 / 118,287 = 2.7 epochs. Validation every 5,000 iterations: 30 times.
# Other batch sizes: `mmxf train` scales the rate linearly with (GPUs x train_dataloader.batch_size) / 64.
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=150000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='AmpOptimWrapper',  # a plain one in float32 where there is no GPU
    dtype='float16',
    loss_scale='dynamic',
    constructor='TypedDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=5e-4, weight_decay=0.05),  # no gradient clipping
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            _rpe=dict(decay_mult=0.),              # tables of relative positions in axial attention
            cluster_centers=dict(decay_mult=0.),
            gamma=dict(decay_mult=0.))))           # ConvNeXt's layer scales

# Linear warm-up from 0.001 of the rate, then (1 - t / 150000) ** 0.9, counted from iteration 0.
param_scheduler = [dict(type='TF2WarmupPolyLR', by_epoch=False, warmup_iters=5000, warmup_factor=0.001, power=0.9)]

auto_scale_lr = dict(base_batch_size=64)
