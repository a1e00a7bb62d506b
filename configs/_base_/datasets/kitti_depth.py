# KITTI, perspective images with sparse depth, in BTS's layout: python tools/prepare_data.py kitti-depth says what belongs where.
data_root = 'data/kitti_depth/'
image_size = (352, 1216)

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='KITTIDepth',
        data_root='${data_root}',
        ann_file='eigen_train_files_with_gt.txt',
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
        type='KITTIDepth',
        data_root='${data_root}',
        ann_file='eigen_test_files_with_gt.txt',
        test_mode=True,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadDepth'),
            dict(type='ResizeDepth', size='${image_size}', resize_depth=False),
            dict(type='LimitDepth'),
            dict(type='PackDepthInputs')]))
test_dataloader = val_dataloader
val_evaluator = [dict(type='DepthMetric', align=None, min_depth=1e-3, max_depth=80.0, clip=True)]
test_evaluator = val_evaluator
