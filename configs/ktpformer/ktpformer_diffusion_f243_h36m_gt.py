"""KTPFormer in D3DP, 243 frames, Human3.6M, true 2-D joints: the paper's diffusion row, 18.1 mm MPJPE."""
_base_ = 'ktpformer_diffusion_f243_h36m_cpn.py'

keypoints = 'gt'
