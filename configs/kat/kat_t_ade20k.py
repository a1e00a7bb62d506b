"""UPerNet with KAT-T on ADE20K: 160k iterations of 16 crops of 512 x 512. The backbone starts from ImageNet weights.

160,000 iterations x 16 images / 20,210 images = 127 epochs.
"""
_base_ = [
    '../_base_/datasets/ade20k_semantic.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/adamw_amp.py',
]

image_size = (512, 512)
arch = 'tiny'
channels = 192
drop_path_rate = 0.1
checkpoint = 'data/weights/kat_t.pth'
num_classes = 150
norm_cfg = dict(type='SyncBN', requires_grad=True)

model = dict(
    type='mmseg.EncoderDecoder',
    _scope_='mmseg',  # parts that mmseg builds by itself are mmseg's, too
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True,
        size='${image_size}',
        pad_val=0,
        seg_pad_val=255),
    backbone=dict(
        type='mmxf.KAT',
        arch='${arch}',
        img_size='${image_size}',
        out_type='map',
        out_indices=(2, 5, 8, 11),
        drop_path_rate='${drop_path_rate}',
        init_cfg=dict(type='Pretrained', checkpoint='${checkpoint}')),
    neck=dict(type='mmseg.Feature2Pyramid', embed_dim='${channels}', rescales=[4, 2, 1, 0.5], norm_cfg=norm_cfg),
    decode_head=dict(
        type='mmseg.UPerHead',
        in_channels=['${channels}'] * 4,
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='mmseg.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)),
    auxiliary_head=dict(
        type='mmseg.FCNHead',
        in_channels='${channels}',
        in_index=3,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes='${num_classes}',
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type='mmseg.CrossEntropyLoss', use_sigmoid=False, loss_weight=0.4)),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'))

train_cfg = dict(max_iters=160000, val_interval=16000)
optim_wrapper = dict(
    optimizer=dict(lr=6e-5, weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys=dict(pos_embed=dict(decay_mult=0.), cls_token=dict(decay_mult=0.))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', eta_min=0.0, power=1.0, begin=1500, end=160000, by_epoch=False),
]
auto_scale_lr = dict(base_batch_size=16)
