# AdamW in mixed precision, without decay of norms, for dense tasks that start from trained weights. The paper's root config sets
# rate, decay and length.
train_cfg = dict(type='ExactIterBasedTrainLoop')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='AmpOptimWrapper',  # a plain one in float32 where there is no GPU
    dtype='float16',
    loss_scale='dynamic',
    constructor='TypedDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW'),
    paramwise_cfg=dict(norm_decay_mult=0.))
