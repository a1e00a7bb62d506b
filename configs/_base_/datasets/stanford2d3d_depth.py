# Stanford2D3D, panoramas and depth: python tools/prepare_data.py stanford2d3d says what belongs where.
_base_ = 'panorama_depth.py'

data_root = 'data/stanford2d3d/'

train_dataloader = dict(dataset=dict(type='Stanford2D3D', ann_file='train_stanford2d3d.txt'))
val_dataloader = dict(dataset=dict(type='Stanford2D3D', ann_file='test_stanford2d3d.txt'))
test_dataloader = val_dataloader
