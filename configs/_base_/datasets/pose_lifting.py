# 2-D joints to 3-D, the loaders that all lifting data share: windows of num_frames in training, whole videos in test. The data set
# itself is named by the bases on top of this one, once for each loader.
data_root = 'data/'
num_frames = 243

train_dataloader = dict(
    batch_size=8,    # windows: the official 1024 // 128
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        data_root='${data_root}',
        num_frames='${num_frames}',
        mirror=True,
        pipeline=[dict(type='MirrorPose'), dict(type='PackPoseInputs')]))
val_dataloader = dict(
    batch_size=4,    # videos
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_root='${data_root}',
        num_frames='${num_frames}',
        test_mode=True,
        pipeline=[dict(type='PackPoseInputs')]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='PoseLiftingMetric', measures=('MPJPE', 'P-MPJPE', 'N-MPJPE', 'MPJVE'))]
test_evaluator = val_evaluator
