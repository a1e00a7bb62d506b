# HumanEva-I, 15 joints, 2-D joints to 3-D: VideoPose3D's files (data/README.md). All actions in training, those of the papers'
# tables in test.
_base_ = 'pose_lifting.py'

data_root = 'data/humaneva/'
num_frames = 27
keypoints = 'gt'
actions = ('Walk', 'Jog')

train_dataloader = dict(dataset=dict(type='HumanEvaLifting', keypoints='${keypoints}'))
val_dataloader = dict(dataset=dict(type='HumanEvaLifting', keypoints='${keypoints}', actions='${actions}'))
test_dataloader = val_dataloader
val_evaluator = [dict(type='PoseLiftingMetric', measures=('MPJPE', 'P-MPJPE'))]
test_evaluator = val_evaluator
