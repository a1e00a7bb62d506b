"""D3DP itself, 243 frames, Human3.6M, 2-D joints of CPN: the diffusion row without the priors."""
_base_ = 'ktpformer_diffusion_f243_h36m_cpn.py'

model = dict(backbone=dict(denoiser=dict(spatial_prior=dict(_delete_=True, type='LinearEmbedding'), temporal_prior=None)))
