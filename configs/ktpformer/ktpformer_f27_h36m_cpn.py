"""KTPFormer, 27 frames, Human3.6M, 2-D joints of CPN: 43.3 mm MPJPE by the paper."""
_base_ = 'ktpformer_f243_h36m_cpn.py'

num_frames = 27
