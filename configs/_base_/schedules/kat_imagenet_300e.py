# KAT on ImageNet-1k: 300 epochs, batch 1024.
#
# 1,281,167 images / 1024 = 1,251 iterations an epoch; 300 epochs = 375,300 iterations; warm-up 5 epochs = 6,255 iterations.
# Other batch sizes: `mmxf train` scales the rate linearly with (GPUs x train_dataloader.batch_size) / 1024.
_base_ = 'adamw_amp.py'

train_cfg = dict(type='ExactEpochBasedTrainLoop', max_epochs=300, val_interval=10)
optim_wrapper = dict(
    optimizer=dict(lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(
        bias_decay_mult=0.,            # the rationals' coefficients decay, as in the official code
        custom_keys=dict(cls_token=dict(decay_mult=0.), pos_embed=dict(decay_mult=0.))))

# The official warm-up starts at 1e-5 (timm's default), the cosine ends at 0.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=0., by_epoch=True, begin=5, end=300, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=1024)
