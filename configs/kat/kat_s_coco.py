"""Mask R-CNN with KAT-S on COCO by ViTDet's recipe: windows of 14 patches, four global blocks, simple feature pyramid, 64 images.

The paper trains Mask R-CNN with KAT-S and KAT-B; its scores are not repeated here, since its schedule could not be checked
against this one. The backbone starts from ImageNet weights.
"""
_base_ = [
    '../_base_/datasets/coco_instance_lsj.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/adamw_amp.py',
]

image_size = (1024, 1024)
arch = 'small'
channels = 384
depth = 12
drop_path_rate = 0.1
checkpoint = 'data/weights/kat_s.pth'

norm_cfg = dict(type='mmxf.LN2d')
model = dict(
    type='mmdet.MaskRCNN',
    _scope_='mmdet',  # parts that mmdet builds by itself are mmdet's, too
    data_preprocessor=dict(
        type='mmdet.DetDataPreprocessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True,
        pad_mask=True,
        pad_size_divisor=32),
    backbone=dict(
        type='mmxf.KAT',
        arch='${arch}',
        img_size='${image_size}',
        class_token=False,
        out_type='map',
        window=14,
        global_indices=(2, 5, 8, 11),
        drop_path_rate='${drop_path_rate}',
        init_cfg=dict(type='Pretrained', checkpoint='${checkpoint}')),
    neck=dict(type='mmxf.SimpleFeaturePyramid', in_channels='${channels}', out_channels=256),
    rpn_head=dict(
        type='mmdet.RPNHead',
        in_channels=256,
        feat_channels=256,
        num_convs=2,
        anchor_generator=dict(
            type='mmdet.AnchorGenerator', scales=[8], ratios=[0.5, 1.0, 2.0], strides=[4, 8, 16, 32, 64]),
        bbox_coder=dict(type='mmdet.DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[1.] * 4),
        loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='mmdet.StandardRoIHead',
        bbox_roi_extractor=dict(
            type='mmdet.SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=7, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        bbox_head=dict(
            type='mmdet.Shared4Conv1FCBBoxHead',
            in_channels=256,
            conv_out_channels=256,
            fc_out_channels=1024,
            roi_feat_size=7,
            num_classes=80,
            bbox_coder=dict(
                type='mmdet.DeltaXYWHBBoxCoder', target_means=[0.] * 4, target_stds=[0.1, 0.1, 0.2, 0.2]),
            reg_class_agnostic=False,
            norm_cfg=norm_cfg,
            loss_cls=dict(type='mmdet.CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
            loss_bbox=dict(type='mmdet.L1Loss', loss_weight=1.0)),
        mask_roi_extractor=dict(
            type='mmdet.SingleRoIExtractor',
            roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
            out_channels=256,
            featmap_strides=[4, 8, 16, 32]),
        mask_head=dict(
            type='mmdet.FCNMaskHead',
            num_convs=4,
            in_channels=256,
            conv_out_channels=256,
            num_classes=80,
            norm_cfg=norm_cfg,
            loss_mask=dict(type='mmdet.CrossEntropyLoss', use_mask=True, loss_weight=1.0))),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type='mmdet.MaxIoUAssigner', pos_iou_thr=0.7, neg_iou_thr=0.3, min_pos_iou=0.3, match_low_quality=True,
                ignore_iof_thr=-1),
            sampler=dict(
                type='mmdet.RandomSampler', num=256, pos_fraction=0.5, neg_pos_ub=-1, add_gt_as_proposals=False),
            allowed_border=-1,
            pos_weight=-1,
            debug=False),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            assigner=dict(
                type='mmdet.MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.5, min_pos_iou=0.5, match_low_quality=True,
                ignore_iof_thr=-1),
            sampler=dict(
                type='mmdet.RandomSampler', num=512, pos_fraction=0.25, neg_pos_ub=-1, add_gt_as_proposals=True),
            mask_size=28,
            pos_weight=-1,
            debug=False)),
    test_cfg=dict(
        rpn=dict(nms_pre=1000, max_per_img=1000, nms=dict(type='nms', iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(
            score_thr=0.05,
            nms=dict(type='nms', iou_threshold=0.5),
            max_per_img=100,
            mask_thr_binary=0.5)))

# 184,375 iterations x 64 images / 118,287 images = 100 epochs; rates fall at 8/9 and 26/27 of the way.
train_cfg = dict(max_iters=184375, val_interval=5000)
optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=0.1),
    paramwise_cfg=dict(
        # Each block learns 0.7 times as fast as the one behind it.
        custom_keys={
            'backbone.patch_embed': dict(lr_mult=0.7**13),
            'backbone.pos_embed': dict(lr_mult=0.7**13, decay_mult=0.),
            **{f'backbone.blocks.{i}.': dict(lr_mult=0.7**(12 - i)) for i in range(12)}}))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=184375, milestones=[163889, 177546], gamma=0.1),
]
auto_scale_lr = dict(base_batch_size=64)
