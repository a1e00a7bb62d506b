# AdamW in mixed precision, without decay of norms. Other schedules and papers' root configs set rate, decay and length.
train_cfg = dict(type='ExactIterBasedTrainLoop')
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='MixedPrecisionOptimWrapper',  # bfloat16 where the GPU has it, else float16; float32 where there is no GPU
    constructor='TypedDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW'),
    paramwise_cfg=dict(norm_decay_mult=0.))
