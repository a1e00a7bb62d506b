"""OmniFusion, one pass, 360D: the paper's main table. 8 panoramas a step, 100 epochs."""
_base_ = [
    '_base_/omnifusion.py',
    '../_base_/datasets/panorama_360d_depth.py',
    '../_base_/schedules/omnifusion_100e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=2, max_keep_ckpts=3, save_best='depth/AbsRel', rule='less'))
log_processor = dict(by_epoch=True)
