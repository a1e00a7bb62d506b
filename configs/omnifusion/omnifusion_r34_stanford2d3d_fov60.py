"""Patches of 60 degrees, Stanford2D3D: the ablation of the field of view."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(fov=60.0))
