# MiniWorld, panoramas with exact depth in Stanford2D3D's layout: python tools/make_miniworld.py --depth.
_base_ = 'panorama_depth.py'

data_root = 'data/miniworld_depth/'
image_size = (64, 128)
roll_steps = None

train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(type='MiniWorldDepth', ann_file='train_miniworld.txt'))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(type='MiniWorldDepth', ann_file='test_miniworld.txt'))
test_dataloader = val_dataloader
