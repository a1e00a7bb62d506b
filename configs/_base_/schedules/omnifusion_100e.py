# OmniFusion's schedule: AdamW, cosine with warm restarts after 5, 10, 20, 40 epochs, 8 panoramas a step. Without annealing to the
# end: the run of 100 epochs ends in the fifth period.
train_cfg = dict(type='ExactEpochBasedTrainLoop', max_epochs=100, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.01))
# Periods of 5, 10, 20 and 40 epochs, and the first 25 epochs of one of 80: 5 + 10 + 20 + 40 + 25 = 100.
param_scheduler = [
    dict(type='CosineRestartLR', by_epoch=True, periods=[5, 10, 20, 40, 80], restart_weights=[1, 1, 1, 1, 1], eta_min=1e-6,
         begin=0, end=155)]
auto_scale_lr = dict(base_batch_size=8)
