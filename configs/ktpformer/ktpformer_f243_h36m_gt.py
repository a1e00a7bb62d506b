"""KTPFormer, 243 frames, Human3.6M, true 2-D joints: the paper's table of these, 19.0 mm MPJPE."""
_base_ = 'ktpformer_f243_h36m_cpn.py'

keypoints = 'gt'
