"""46 patches in 6 rows, Stanford2D3D: the ablation of patches."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(rows=6))
