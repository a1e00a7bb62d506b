# Cityscapes panoptic (19 classes).
_base_ = 'panoptic_copy_paste.py'

data_root = 'data/cityscapes/'
jitter_scales = (0.5, 2.0)
paste_scales = (0.25, 1.0)  # of the second image: half of the first's
min_labelled = 4096 / (257 * 513)  # 4096 of the 257x513 pixels of the masks at crop 1025x2049

train_dataloader = dict(
    batch_size=4,  # 32 images = 8 GPUs x 4
    dataset=dict(
        type='CityscapesPanoptic',
        ann_file='gtFine/cityscapes_panoptic_train.json',  # 2,975 images
        data_prefix=dict(img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train/')))
val_dataloader = dict(
    dataset=dict(
        type='CityscapesPanoptic',
        ann_file='gtFine/cityscapes_panoptic_val.json',  # 500 images
        data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/')))
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
