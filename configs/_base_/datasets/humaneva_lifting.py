# HumanEva-I, 15 joints, 2-D joints to 3-D: VideoPose3D's files (data/README.md).
data_root = 'data/humaneva/'
num_frames = 27
keypoints = 'gt'
actions = ('Walk', 'Jog')

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='HumanEvaLifting',
        data_root='${data_root}',
        keypoints='${keypoints}',
        num_frames='${num_frames}',
        mirror=True,
        pipeline=[dict(type='MirrorPose'), dict(type='PackPoseInputs')]))
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='HumanEvaLifting',
        data_root='${data_root}',
        keypoints='${keypoints}',
        actions='${actions}',
        num_frames='${num_frames}',
        test_mode=True,
        pipeline=[dict(type='PackPoseInputs')]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='PoseLiftingMetric', measures=('MPJPE', 'P-MPJPE'))]
test_evaluator = val_evaluator
