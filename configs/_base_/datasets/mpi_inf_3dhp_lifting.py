# MPI-INF-3DHP, 2-D joints to 3-D: P-STMO's data_train_3dhp.npz and data_test_3dhp.npz (data/README.md).
_base_ = 'pose_lifting.py'

data_root = 'data/mpi_inf_3dhp/'
num_frames = 81

train_dataloader = dict(dataset=dict(type='MpiInf3dhpLifting'))
val_dataloader = dict(batch_size=1, dataset=dict(type='MpiInf3dhpLifting'))
test_dataloader = val_dataloader
# Frames count alike over the six sequences; PCK and AUC count 14 joints: head top to ankles, without pelvis, spine and head.
val_evaluator = [dict(
    type='PoseLiftingMetric', measures=('MPJPE', 'PCK', 'AUC'), group='subject', average='frames',
    pck_joints=tuple(range(14)), count_overlap=False)]
test_evaluator = val_evaluator
