"""KTPFormer in D3DP, 243 frames, Human3.6M, 2-D joints of CPN: the paper's diffusion row, 33.0 mm MPJPE.

The best of 20 hypotheses, each joint by itself (J-Best), after 10 steps. D3DP's schedule and loss: 400 epochs of 4 windows a
step. The paper's denoiser has no published code; see mmxf/models/ktpformer/__init__.py.
"""
_base_ = [
    '../_base_/datasets/h36m_lifting.py',
    '../_base_/schedules/d3dp_400e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=4)    # 1024 // 243
model = dict(
    type='PoseLifter',
    skeleton='${skeleton}',
    flip_test=True,
    zero_root=True,
    aggregation='jpma',
    root='true',               # the root's true position, as in D3DP's evaluation; 'fit' needs none
    windows_per_batch=1,       # each with 2 x 20 hypotheses
    backbone=dict(
        type='PoseDiffusion',
        num_steps=1000,
        sampling_steps=10,
        num_hypotheses=20,
        denoiser=dict(
            type='PoseDenoiser',
            skeleton='${skeleton}',
            num_frames='${num_frames}',
            channels=512,
            depth=8,
            num_heads=8,
            mlp_ratio=2.0,
            drop_path=0.1,
            spatial_prior=dict(type='KinematicsPrior'),
            temporal_prior=dict(type='TrajectoryPrior'))),
    loss=dict(
        type='PoseLiftingLoss',
        skeleton='${skeleton}',
        use_joint_weights=False,
        consistency_weight=0.0,
        velocity_weight=0.0,
        gradient_by_loss=True))
val_evaluator = [dict(
    type='PoseLiftingMetric', measures=('MPJPE', 'P-MPJPE', 'J-Best', 'P-Best', 'P-Agg', 'J-Agg'))]
test_evaluator = val_evaluator

default_hooks = dict(checkpoint=dict(by_epoch=True, interval=5, max_keep_ckpts=3))
log_processor = dict(by_epoch=True)
