"""OmniFusion, two passes, 360D: the paper's main table. 8 panoramas a step, 80 epochs."""
_base_ = [
    '_base_/omnifusion_2iter.py',
    '../_base_/datasets/panorama_360d_depth.py',
    '../_base_/schedules/omnifusion_80e.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(patch_size=128))    # panoramas of 256 x 512; as the official script for this data set
default_hooks = dict(checkpoint=dict(by_epoch=True, interval=2, max_keep_ckpts=3, save_best='depth/AbsRel', rule='less'))
log_processor = dict(by_epoch=True)
