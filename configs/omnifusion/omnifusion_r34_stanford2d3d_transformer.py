"""With the transformer, without geometry, Stanford2D3D: the ablation of components."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(geometry=None))
