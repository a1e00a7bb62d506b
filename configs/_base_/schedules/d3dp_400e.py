# D3DP's schedule: AdamW, the rate times 0.993 after every epoch, 400 epochs, 4 windows a step.
train_cfg = dict(type='ExactEpochBasedTrainLoop', max_epochs=400, val_interval=20)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='MixedPrecisionOptimWrapper',  # bfloat16 where the GPU has it, else float16; float32 where there is no GPU
    optimizer=dict(type='AdamW', lr=6e-5, weight_decay=0.1))
param_scheduler = [dict(type='ExponentialLR', gamma=0.993, by_epoch=True)]
auto_scale_lr = dict(base_batch_size=4)
