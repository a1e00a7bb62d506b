"""OmniFusion, three passes, Stanford2D3D: the ablation of passes."""
_base_ = 'omnifusion_r34_stanford2d3d_2iter.py'

model = dict(backbone=dict(iterations=3))
