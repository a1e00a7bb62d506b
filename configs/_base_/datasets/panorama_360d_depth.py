# 360D, panoramas and depth: python tools/prepare_data.py 360d says what belongs where.
data_root = 'data/360d/'
image_size = (256, 512)

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='Panorama360D',
        data_root='${data_root}',
        ann_file='train_omnidepth.txt',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadDepth'),
            dict(type='ResizeDepth', size='${image_size}'),
            dict(type='FlipWithDepth', prob=0.5),
            dict(type='RollPanorama', steps=4),
            dict(type='LimitDepth'),
            dict(type='PackDepthInputs')]))
val_dataloader = dict(
    batch_size=2,    # the official evaluation scales both panoramas of a batch by one median
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='Panorama360D',
        data_root='${data_root}',
        ann_file='test_omnidepth.txt',
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
