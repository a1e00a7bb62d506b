# MiniWorld, panoramas with exact depth in Stanford2D3D's layout: python tools/make_miniworld.py --depth.
data_root = 'data/miniworld_depth/'
image_size = (64, 128)

train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='MiniWorldDepth',
        data_root='${data_root}',
        ann_file='train_miniworld.txt',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadDepth'),
            dict(type='ResizeDepth', size='${image_size}'),
            dict(type='FlipWithDepth', prob=0.5),
            dict(type='RollPanorama', steps=None),
            dict(type='LimitDepth'),
            dict(type='PackDepthInputs')]))
val_dataloader = dict(
    batch_size=2,    # the official evaluation scales both panoramas of a batch by one median
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='MiniWorldDepth',
        data_root='${data_root}',
        ann_file='test_miniworld.txt',
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
