"""Encoder, decoder and merging alone, Stanford2D3D: the ablation of components."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(geometry=None, transformer=None))
