"""KTPFormer, 243 frames, Human3.6M, 2-D joints of CPN: the paper's main table, 40.1 mm MPJPE, 31.9 mm P-MPJPE.

8 windows a step, 200 epochs; the official run picks its best epoch on the test set.
"""
_base_ = [
    '_base_/ktpformer.py',
    '../_base_/datasets/h36m_lifting.py',
    '../_base_/schedules/ktpformer_200e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=5, max_keep_ckpts=3))
log_processor = dict(by_epoch=True)
