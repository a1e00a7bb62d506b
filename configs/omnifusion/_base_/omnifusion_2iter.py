"""Two passes, as the official code and its published weights for Stanford2D3D have them: points as geometry, patches of 256 x 256
pixels, merging by plain means."""
_base_ = 'omnifusion.py'

model = dict(backbone=dict(patch_size=256, geometry='points', iterations=2, confidence=False))
find_unused_parameters = True    # the confidence has no part in it
