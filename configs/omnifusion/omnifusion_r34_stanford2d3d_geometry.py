"""With the embedded geometry, without the transformer, Stanford2D3D: the ablation of components."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(transformer=None))
