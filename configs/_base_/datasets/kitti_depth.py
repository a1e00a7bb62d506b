# KITTI, perspective images with sparse depth, in BTS's layout: python tools/prepare_data.py kitti-depth says what belongs where.
_base_ = 'perspective_depth.py'

data_root = 'data/kitti_depth/'
image_size = (352, 1216)
max_depth = 80.0

train_dataloader = dict(dataset=dict(type='KITTIDepth', ann_file='eigen_train_files_with_gt.txt'))
val_dataloader = dict(dataset=dict(type='KITTIDepth', ann_file='eigen_test_files_with_gt.txt'))
test_dataloader = val_dataloader
