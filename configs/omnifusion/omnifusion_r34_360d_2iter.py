"""OmniFusion, two passes, 360D: the paper's main table.

Geometry as points, merging without confidence, as the official code of several passes.
"""
_base_ = 'omnifusion_r34_360d.py'

model = dict(backbone=dict(geometry='points', iterations=2, confidence=False))
find_unused_parameters = True    # the confidence has no part in it
