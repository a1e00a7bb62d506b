"""Merging by plain means, Stanford2D3D: the ablation of components."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(confidence=False))
find_unused_parameters = True    # the confidence has no part in it
