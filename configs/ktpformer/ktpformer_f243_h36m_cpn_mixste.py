"""MixSTE, 243 frames, Human3.6M, 2-D joints of CPN: the paper's ablation, neither prior."""
_base_ = 'ktpformer_f243_h36m_cpn.py'

model = dict(
    backbone=dict(
        spatial_prior=dict(_delete_=True, type='LinearEmbedding'),
        temporal_prior=None))
