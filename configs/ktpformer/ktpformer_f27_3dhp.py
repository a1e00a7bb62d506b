"""KTPFormer, 27 frames, MPI-INF-3DHP, true 2-D joints: PCK, AUC and MPJPE of P-STMO's evaluation."""
_base_ = 'ktpformer_f81_3dhp.py'

num_frames = 27
