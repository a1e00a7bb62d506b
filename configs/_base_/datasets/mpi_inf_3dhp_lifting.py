# MPI-INF-3DHP, 2-D joints to 3-D: P-STMO's data_train_3dhp.npz and data_test_3dhp.npz (data/README.md).
data_root = 'data/mpi_inf_3dhp/'
num_frames = 81

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='MpiInf3dhpLifting',
        data_root='${data_root}',
        num_frames='${num_frames}',
        mirror=True,
        pipeline=[dict(type='MirrorPose'), dict(type='PackPoseInputs')]))
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='MpiInf3dhpLifting',
        data_root='${data_root}',
        num_frames='${num_frames}',
        test_mode=True,
        pipeline=[dict(type='PackPoseInputs')]))
test_dataloader = val_dataloader
# Frames count alike over the six sequences; PCK and AUC count 14 joints: head top to ankles, without pelvis, spine and head.
val_evaluator = [dict(
    type='PoseLiftingMetric', measures=('MPJPE', 'PCK', 'AUC'), group='subject', average='frames',
    pck_joints=tuple(range(14)), count_overlap=False)]
test_evaluator = val_evaluator
