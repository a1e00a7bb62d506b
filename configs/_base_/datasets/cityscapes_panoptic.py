# Cityscapes panoptic, with large-scale jitter and panoptic copy-paste.
# The paper's root config sets image_size = (height, width).
data_root = 'data/cityscapes/'
backend_args = None

# What happens to each of the two images that are mixed, but for the scales.
color_and_flip = [
    dict(type='SSDColorJitter'),
    dict(type='RandomFlip', prob=0.5),
]
load_with_segments = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='LoadPanopticSegments', backend_args=backend_args),
]
train_pipeline = [
    *load_with_segments,
    dict(type='LargeScaleJitter', size='${image_size}', scale_range=(0.5, 2.0)),
    *color_and_flip,
    dict(type='PadToSize', size='${image_size}'),
    dict(type='PanopticCopyPaste', pipeline=[  # the second image: scales half of the first's
        *load_with_segments,
        dict(type='LargeScaleJitter', size='${image_size}', scale_range=(0.25, 1.0)),
        *color_and_flip,
    ]),
    # Drawn again: samples without a segment, or with at most 4096 labelled pixels of the 257x513 at crop 1025x2049.
    dict(type='PackPanopticInputs', mask_stride=4, min_labelled=4096 / (257 * 513)),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args),
    dict(type='ResizeToFit', size='${image_size}'),
    dict(type='PackPanopticInputs'),
]

train_dataloader = dict(
    batch_size=4,  # 32 images = 8 GPUs x 4
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='ResumableSampler', shuffle=True),
    dataset=dict(
        type='CityscapesPanoptic',
        data_root='${data_root}',
        ann_file='gtFine/cityscapes_panoptic_train.json',  # 2,975 images
        data_prefix=dict(img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesPanoptic',
        data_root='${data_root}',
        ann_file='gtFine/cityscapes_panoptic_val.json',  # 500 images
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='PanopticMetric',
        ann_file='${data_root}gtFine/cityscapes_panoptic_val.json',
        seg_prefix='${data_root}gtFine/cityscapes_panoptic_val/'),
    dict(
        type='SemanticMetric',
        map_path=[('leftImg8bit/', 'gtFine/'), ('_leftImg8bit.png', '_gtFine_labelTrainIds.png')]),
]
test_evaluator = [  # and, which would make validation slower: AP of Cityscapes' own script
    *val_evaluator,
    dict(type='mmdet.CityScapesMetric', outfile_prefix=None, seg_prefix='${data_root}gtFine/val'),
]
