# kMaX-DeepLab on COCO panoptic: 150k iterations, batch 64.
#
# 150,000 iterations x 64 images / 118,287 training images = 81 epochs.
# Warm-up: 5,000 x 64 / 118,287 = 2.7 epochs. Validation every 5,000 iterations: 30 times.
# Other batch sizes: `mmxf train` scales the rate linearly with (GPUs x train_dataloader.batch_size) / 64.
_base_ = 'adamw_amp.py'

train_cfg = dict(max_iters=150000, val_interval=5000)
optim_wrapper = dict(
    optimizer=dict(lr=5e-4, weight_decay=0.05),  # no gradient clipping
    paramwise_cfg=dict(
        bias_decay_mult=0.,
        custom_keys=dict(
            backbone=dict(lr_mult=0.1),
            _rpe=dict(decay_mult=0.),              # tables of relative positions in axial attention
            cluster_centers=dict(decay_mult=0.),
            gamma=dict(decay_mult=0.))))           # ConvNeXt's layer scales

# Linear warm-up from 0.001 of the rate, then (1 - t / 150000) ** 0.9, counted from iteration 0.
param_scheduler = [dict(type='TF2WarmupPolyLR', by_epoch=False, warmup_iters=5000, warmup_factor=0.001, power=0.9)]

auto_scale_lr = dict(base_batch_size=64)
