# 360D, panoramas and depth: python tools/prepare_data.py 360d says what belongs where.
_base_ = 'panorama_depth.py'

data_root = 'data/360d/'
image_size = (256, 512)

train_dataloader = dict(dataset=dict(type='Panorama360D', ann_file='train_omnidepth.txt'))
val_dataloader = dict(dataset=dict(type='Panorama360D', ann_file='test_omnidepth.txt'))
test_dataloader = val_dataloader
