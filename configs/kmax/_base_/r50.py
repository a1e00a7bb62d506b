# The model of kMaX-DeepLab with ResNet-50, whole, as for COCO; the root configs say what differs for their data set, and
# set image_size.
sync_bn = 'torch'            # batch statistics over all GPUs

model = dict(
    type='PanopticSegmentor',
    data_preprocessor=dict(
        type='SegmentationPreprocessor',
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        bgr_to_rgb=True,
        pad_to='${image_size}'),
    backbone=dict(
        type='KMaXResNet',
        depth=50,
        norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01),
        norm_eval=False,
        init_cfg=dict(type='Pretrained', checkpoint='data/weights/resnet50.pth')),
    head=dict(
        type='KMaXHead',
        num_classes='${num_classes}',
        thing_labels='${thing_labels}',
        in_channels=(256, 512, 1024, 2048),    # strides 4, 8, 16, 32
        pixel_decoder=dict(
            type='KMaXPixelDecoder',
            in_index=(3, 2, 1, 0),             # strides 32, 16, 8, 4
            base_channels=(512, 256, 128, 64),
            num_blocks=(1, 5, 1, 1),
            block_types=('axial', 'axial', 'bottleneck', 'bottleneck')),
        decoder=dict(
            type='KMaXDecoder',
            num_queries=128,
            num_layers=(2, 2, 2),
            pixel_channels=(2048, 1024, 512),
            final_channels=256,
            drop_path=0.2),
        auxiliary=dict(type='KMaXSemanticDecoder', in_index=(3, 1, 0)),
        loss=dict(
            type='KMaXLoss',
            class_weight=3.0,
            dice_weight=3.0,
            mask_weight=0.3,
            discrimination_weight=1.0,
            semantic_weight=1.0,
            min_weight=1e-5,
            sample_size=4096,
            sample_exponent=1.5,
            discrimination_temperature=0.3,
            semantic_sample_size=4096,
            semantic_sample_exponent=2.0),
        pixel_threshold=0.4,
        thing_threshold=0.7,
        stuff_threshold=0.5,
        overlap_threshold=0.8,
        class_exponent=1.0,
        mask_exponent=1.0),
    outputs=('panoptic', 'instance', 'semantic'),
    val_outputs=('panoptic',))
