"""The model of the paper with its two priors, its losses as in the official run."""
model = dict(
    type='PoseLifter',
    skeleton='${skeleton}',    # joints, bones, mirror pairs and root of the data set's metainfo
    flip_test=True,
    backbone=dict(
        type='KTPFormer',
        skeleton='${skeleton}',
        num_frames='${num_frames}',
        channels=512,
        depth=8,               # the official 7, and the pair that carries the priors
        num_heads=8,
        mlp_ratio=2.0,
        drop_path=0.1,
        spatial_prior=dict(type='KinematicsPrior'),
        temporal_prior=dict(type='TrajectoryPrior')),
    loss=dict(
        type='PoseLiftingLoss',
        skeleton='${skeleton}',
        consistency_weight=0.5,
        velocity_weight=2.0,
        gradient_by_loss=True))    # as the official run
