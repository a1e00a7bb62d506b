"""26 patches in 5 rows, Stanford2D3D: the ablation of patches."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(rows=5))
