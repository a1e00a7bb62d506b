"""KTPFormer, 81 frames, MPI-INF-3DHP, true 2-D joints: PCK, AUC and MPJPE of P-STMO's evaluation."""
_base_ = [
    '_base_/ktpformer.py',
    '../_base_/datasets/mpi_inf_3dhp_lifting.py',
    '../_base_/schedules/ktpformer_200e.py',
    '../_base_/default_runtime.py',
]

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=5, max_keep_ckpts=3))
log_processor = dict(by_epoch=True)
