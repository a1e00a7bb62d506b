"""One pass on patches of 64 x 64 pixels, Stanford2D3D: the ablation of patch sizes."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(patch_size=64))
