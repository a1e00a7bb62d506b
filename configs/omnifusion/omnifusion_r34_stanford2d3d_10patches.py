"""10 patches in 3 rows, Stanford2D3D: the ablation of patches. At 80 degrees they leave gaps at the poles."""
_base_ = 'omnifusion_r34_stanford2d3d.py'

model = dict(backbone=dict(rows=3))
