# Panoramas and depth: what the data sets share. Each sets data_root, its type and its lists of files.
image_size = (512, 1024)    # height, width
roll_steps = 4              # panoramas are turned by multiples of a quarter; None: by any number of columns

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
            dict(type='ResizeDepth', size='${image_size}'),
            dict(type='FlipWithDepth', prob=0.5),
            dict(type='RollPanorama', steps='${roll_steps}'),
            dict(type='LimitDepth'),
            dict(type='PackDepthInputs')]))
val_dataloader = dict(
    batch_size=2,    # the official evaluation scales both panoramas of a batch by one median
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_root='${data_root}',
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadDepth'),
            dict(type='ResizeDepth', size='${image_size}'),
            dict(type='LimitDepth'),
            dict(type='PackDepthInputs')]))
test_dataloader = val_dataloader
# The official numbers, and those of each image by itself, scaled and as metres.
val_evaluator = [
    dict(type='DepthMetric', align='median', align_over='batch', average='pixels', prefix='depth'),
    dict(type='DepthMetric', align='median', average='images', prefix='depth_image'),
    dict(type='DepthMetric', align=None, average='images', prefix='depth_metric')]
test_evaluator = val_evaluator
