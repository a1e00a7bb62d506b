# NYUv2, perspective images with depth, in BTS's layout: python tools/prepare_data.py nyuv2 says what belongs where.
_base_ = 'perspective_depth.py'

data_root = 'data/nyuv2/'
image_size = (480, 640)
max_depth = 10.0

train_dataloader = dict(dataset=dict(type='NYUv2Depth', ann_file='nyudepthv2_train_files_with_gt.txt'))
val_dataloader = dict(dataset=dict(type='NYUv2Depth', ann_file='nyudepthv2_test_files_with_gt.txt'))
test_dataloader = val_dataloader
