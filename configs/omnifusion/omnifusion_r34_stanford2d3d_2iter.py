"""OmniFusion, two passes, Stanford2D3D: the paper's main table. 8 panoramas a step, 80 epochs."""
_base_ = [
    '_base_/omnifusion_2iter.py',
    '../_base_/datasets/stanford2d3d_depth.py',
    '../_base_/schedules/omnifusion_80e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=2, max_keep_ckpts=3, save_best='depth/AbsRel', rule='less'))
log_processor = dict(by_epoch=True)
