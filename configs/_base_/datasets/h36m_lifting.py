# Human3.6M, 2-D joints to 3-D: VideoPose3D's files (python tools/prepare_data.py h36m says what belongs where). A root config
# sets num_frames, and keypoints = 'gt' for true 2-D joints.
_base_ = 'pose_lifting.py'

data_root = 'data/h36m/'
keypoints = 'cpn_ft_h36m_dbb'

train_dataloader = dict(dataset=dict(type='Human36mLifting', keypoints='${keypoints}'))
val_dataloader = dict(dataset=dict(type='Human36mLifting', keypoints='${keypoints}'))
test_dataloader = val_dataloader
