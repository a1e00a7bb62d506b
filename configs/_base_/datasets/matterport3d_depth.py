# Matterport3D, panoramas and depth: python tools/prepare_data.py matterport3d says what belongs where.
_base_ = 'panorama_depth.py'

data_root = 'data/matterport3d/'

train_dataloader = dict(dataset=dict(type='Matterport3D', ann_file='matterport3d_train.txt'))
val_dataloader = dict(dataset=dict(type='Matterport3D', ann_file='matterport3d_test.txt'))
test_dataloader = val_dataloader
