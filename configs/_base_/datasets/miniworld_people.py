# MiniWorld's walking, turning and waving people, in VideoPose3D's layout: python tools/make_miniworld.py --people.
_base_ = 'pose_lifting.py'

data_root = 'data/miniworld_people/'
num_frames = 27
keypoints = 'gt'    # or 'detected': with a detector's noise

train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    dataset=dict(type='Human36mLifting', camera_file='cameras.json', keypoints='${keypoints}'))
val_dataloader = dict(
    batch_size=8, dataset=dict(type='Human36mLifting', camera_file='cameras.json', keypoints='${keypoints}'))
test_dataloader = val_dataloader
