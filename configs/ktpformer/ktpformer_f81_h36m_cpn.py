"""KTPFormer, 81 frames, Human3.6M, 2-D joints of CPN: the paper's main table, 41.8 mm MPJPE."""
_base_ = 'ktpformer_f243_h36m_cpn.py'

num_frames = 81
