"""One pass on patches of 256 x 256 pixels, Stanford2D3D: what the official page says for training and evaluation.

The official code of one pass stops at this size (its tokens are for 128 x 128); that of several passes knows it.
"""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(patch_size=256))
