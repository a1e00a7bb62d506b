# OmniFusion's schedule of several passes, as its script for 360D has it: cosine with warm restarts after 2, 4, 8, 16, 32 epochs.
_base_ = 'omnifusion_100e.py'

train_cfg = dict(max_epochs=80)
# 2 + 4 + 8 + 16 + 32 epochs, and the first 18 of a period of 64: 80.
param_scheduler = [
    dict(type='CosineRestartLR', by_epoch=True, periods=[2, 4, 8, 16, 32, 64], restart_weights=[1, 1, 1, 1, 1, 1], eta_min=1e-6,
         begin=0, end=126)]
