"""MixSTE with the kinematics prior alone, 27 frames, Human3.6M, 2-D joints of CPN: the paper's ablation."""
_base_ = 'ktpformer_f27_h36m_cpn.py'

model = dict(backbone=dict(temporal_prior=None))
