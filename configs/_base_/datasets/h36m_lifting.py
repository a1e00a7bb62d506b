# Human3.6M, 2-D joints to 3-D: VideoPose3D's files (python tools/prepare_data.py h36m says what belongs where). A root config
# sets num_frames, and keypoints = 'gt' for true 2-D joints.
data_root = 'data/h36m/'
num_frames = 243
keypoints = 'cpn_ft_h36m_dbb'

train_dataloader = dict(
    batch_size=8,    # windows: the official 1024 // 128
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='Human36mLifting',
        data_root='${data_root}',
        keypoints='${keypoints}',
        num_frames='${num_frames}',
        mirror=True,
        pipeline=[dict(type='MirrorPose'), dict(type='PackPoseInputs')]))
val_dataloader = dict(
    batch_size=4,    # videos
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='Human36mLifting',
        data_root='${data_root}',
        keypoints='${keypoints}',
        num_frames='${num_frames}',
        test_mode=True,
        pipeline=[dict(type='PackPoseInputs')]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='PoseLiftingMetric', measures=('MPJPE', 'P-MPJPE', 'N-MPJPE', 'MPJVE'))]
test_evaluator = val_evaluator
