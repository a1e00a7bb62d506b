"""kMaX-DeepLab small enough to learn MiniWorld on two CPU cores in a few minutes, from random weights.

Not a row of the paper. Narrower than kmax_r50_coco.py, and with what a schedule of 1400 steps needs instead of 150,000:
mask logits that start at full scale and whose one scale moves fast, a weak void prior, batch statistics that follow quickly,
few more queries than an image has segments, and weight on small things: dice, which counts segments, next to the mask loss,
which counts pixels, and an auxiliary semantic loss of sampled pixels, those of small segments first.
"""
_base_ = [
    '../_base_/datasets/miniworld_panoptic.py',
    '../_base_/default_runtime.py',
]

image_size = (128, 128)

model = dict(
    type='PanopticSegmentor',
    norm_momentum=0.05,
    data_preprocessor=dict(
        type='SegmentationPreprocessor',
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        bgr_to_rgb=True,
        pad_to='${image_size}'),
    backbone=dict(
        type='KMaXResNet',
        depth=18,
        stem_channels=32,
        base_channels=32,
        norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01),
        norm_eval=False),
    head=dict(
        type='KMaXHead',
        recompute=False,    # memory is no matter here, time is
        num_classes='${num_classes}',
        thing_labels='${thing_labels}',
        in_channels=(32, 64, 128, 256),
        pixel_decoder=dict(
            type='KMaXPixelDecoder',
            base_channels=(128, 64, 32, 16),
            num_blocks=(1, 1, 1, 1)),
        decoder=dict(
            type='KMaXDecoder',
            num_queries=16,    # an image has at most 12 segments
            num_layers=(0, 1, 1),    # stride 32 has 4 x 4 pixels here
            pixel_channels=(512, 256, 128),
            final_channels=64,
            query_channels=128,
            ffn_channels=256,
            void_prior=0.5,
            mask_scale=1.0),
        auxiliary=dict(
            type='KMaXSemanticDecoder', channels=64, skip_channels=(32, 16), rates=(1, 2, 3)),
        loss=dict(
            type='KMaXLoss',
            mask_weight=3.0,
            dice_weight=30.0,
            discrimination_weight=0.2,
            semantic_weight=3.0,
            sample_size=256,
            semantic_sample_size=256),
        pixel_threshold=0.35,
        thing_threshold=0.25,    # a guess is worth more to a beginner's eye than a hole; PQ agrees
        stuff_threshold=0.4),
    outputs=('panoptic',))

# Steps count more than images: half the batch and twice the steps part more things in the same time.
train_dataloader = dict(batch_size=4)
# The first validation comes early, to show where it starts.
train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=1400, val_interval=16, dynamic_intervals=[(18, 280)])
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='TypedDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=0.05, fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        bias_decay_mult=0.,
        custom_keys=dict(
            _rpe=dict(decay_mult=0.),
            cluster_centers=dict(decay_mult=0.),
            mask_norm=dict(lr_mult=10., decay_mult=0.))))
param_scheduler = [dict(type='TF2WarmupPolyLR', by_epoch=False, warmup_iters=50, warmup_factor=0.01, power=0.9)]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=280, max_keep_ckpts=2))
tta_model = dict(type='PanopticTTA', scales=(1.0,), flip=True)
log_processor = dict(window_size=20)
randomness = dict(seed=0)
