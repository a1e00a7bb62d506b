"""KAT-T on ImageNet-1k from scratch: the paper's table of ImageNet, row KAT-T (74.6% top-1). 8 GPUs x 128 images, 300 epochs."""
_base_ = [
    '../_base_/datasets/imagenet_classification.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/kat_imagenet_300e.py',
]

image_size = (224, 224)
arch = 'tiny'
channels = 192

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(
        type='ClassificationPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True,
        num_classes='${num_classes}',
        mixup=0.8,
        cutmix=1.0,
        switch=0.5,
        smoothing=0.1,
        erasing=0.25),
    backbone=dict(
        type='KAT',
        arch='${arch}',
        img_size='${image_size}',
        ffn=dict(type='GRKAN', act_init='swish'),
        drop_path_rate=0.1,
        out_type='token'),
    head=dict(type='LinearHead', in_channels='${channels}', num_classes='${num_classes}'))

custom_hooks = [
    dict(type='ClassCountHook'),
    dict(type='NonFiniteLossHook', patience=5),
    dict(type='Float32LossHook'),
    dict(type='ForecastHook'),
    dict(type='PreemptionHook'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=1e-4),    # decay 0.9999
]
default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(by_epoch=True, interval=10, max_keep_ckpts=3))
