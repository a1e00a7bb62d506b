data_root = 'data/toy/'
train_pipeline = [
    dict(type='ToyTransform', size='${image_size}'),
    dict(type='ToyTransform', size='${image_size}', prob=1.0),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='ToyDataset',
        data_root='${data_root}',
        data_prefix=dict(img='images'),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyDataset', data_root='${data_root}', test_mode=True, pipeline=[]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='ToyMean')]
test_evaluator = val_evaluator
