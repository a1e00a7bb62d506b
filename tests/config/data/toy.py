_base_ = ['_base_/data.py']
default_scope = 'mmxf'
image_size = (8, 16)
model = dict(
    type='ToyWhole',
    head=dict(
        type='ToyHead',
        num_queries=10,
        num_classes='${num_classes}',
        block=dict(type='ToyBlock', channels=4)))
lr = 0.1
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=lr),
    paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=0.5)}))
param_scheduler = [dict(type='PolyLR', power=0.9, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2))
auto_scale_lr = dict(base_batch_size=4)
sync_bn = 'torch'
log_level = 'INFO'
