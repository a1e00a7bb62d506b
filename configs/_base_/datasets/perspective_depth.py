# Perspective images and depth: what the data sets share. Each sets data_root, image_size (height, width), max_depth in metres,
# its type and its lists of files.

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        data_root='${data_root}',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadDepth'),
            dict(type='ResizeDepth', size='${image_size}', depth='nearest'),
            dict(type='FlipWithDepth', prob=0.5),
            dict(type='LimitDepth'),
            dict(type='PackDepthInputs')]))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_root='${data_root}',
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadDepth'),
            dict(type='ResizeDepth', size='${image_size}', resize_depth=False),
            dict(type='LimitDepth'),
            dict(type='PackDepthInputs')]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='DepthMetric', align=None, min_depth=1e-3, max_depth='${max_depth}', clip=True)]
test_evaluator = val_evaluator
