# MiniWorld's walking, turning and waving people, in VideoPose3D's layout: python tools/make_miniworld.py --people.
data_root = 'data/miniworld_people/'
num_frames = 27
keypoints = 'gt'    # or 'detected': with a detector's noise

train_dataloader = dict(
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='Human36mLifting',
        data_root='${data_root}',
        camera_file='cameras.json',
        keypoints='${keypoints}',
        num_frames='${num_frames}',
        mirror=True,
        pipeline=[dict(type='MirrorPose'), dict(type='PackPoseInputs')]))
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='Human36mLifting',
        data_root='${data_root}',
        camera_file='cameras.json',
        keypoints='${keypoints}',
        num_frames='${num_frames}',
        test_mode=True,
        pipeline=[dict(type='PackPoseInputs')]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='PoseLiftingMetric', measures=('MPJPE', 'P-MPJPE', 'N-MPJPE', 'MPJVE'))]
test_evaluator = val_evaluator
