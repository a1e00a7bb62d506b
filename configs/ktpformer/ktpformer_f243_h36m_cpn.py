"""KTPFormer, 243 frames, Human3.6M, 2-D joints of CPN: the paper's main table, 40.1 mm MPJPE, 31.9 mm P-MPJPE.

8 windows a step, 200 epochs; the official run picks its best epoch on the test set.
"""
_base_ = [
    '../_base_/datasets/h36m_lifting.py',
    '../_base_/schedules/ktpformer_200e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    type='PoseLifter',
    skeleton='${skeleton}',    # joints, bones, mirror pairs and root of the data set's metainfo
    flip_test=True,
    backbone=dict(
        type='KTPFormer',
        skeleton='${skeleton}',
        num_frames='${num_frames}',
        channels=512,
        depth=8,               # the official 7, and the pair that carries the priors
        num_heads=8,
        mlp_ratio=2.0,
        drop_path=0.1,
        spatial_prior=dict(type='KinematicsPrior'),
        temporal_prior=dict(type='TrajectoryPrior')),
    loss=dict(
        type='PoseLiftingLoss',
        skeleton='${skeleton}',
        consistency_weight=0.5,
        velocity_weight=2.0,
        gradient_by_loss=True))    # as the official run

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=5, max_keep_ckpts=3))
log_processor = dict(by_epoch=True)
