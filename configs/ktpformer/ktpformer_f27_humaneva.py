"""KTPFormer, 27 frames, HumanEva-I, true 2-D joints, Walk and Jog."""
_base_ = [
    '_base_/ktpformer.py',
    '../_base_/datasets/humaneva_lifting.py',
    '../_base_/schedules/ktpformer_200e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=5, max_keep_ckpts=3))
log_processor = dict(by_epoch=True)
