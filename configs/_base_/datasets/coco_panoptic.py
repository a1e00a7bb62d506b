# COCO panoptic (133 classes).
_base_ = 'panoptic_copy_paste.py'

data_root = 'data/coco/'
jitter_scales = (0.2, 2.0)
paste_scales = (0.1, 1.0)  # of the second image: half of the first's
min_labelled = 4096 / 321**2  # 4096 of the 321x321 pixels of the masks at crop 1281x1281

train_dataloader = dict(
    dataset=dict(
        type='CocoPanoptic',
        ann_file='annotations/panoptic_train2017.json',  # 118,287 images
        data_prefix=dict(img='train2017/', seg='annotations/panoptic_train2017/')))
val_dataloader = dict(
    dataset=dict(
        type='CocoPanoptic',
        ann_file='annotations/panoptic_val2017.json',  # 5,000 images
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/')))
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='PanopticMetric',
        ann_file='${data_root}annotations/panoptic_val2017.json',
        seg_prefix='${data_root}annotations/panoptic_val2017/'),
]
test_evaluator = [  # and, which would make validation slower: AP and mIoU
    *val_evaluator,
    dict(type='InstanceMetric', ann_file='${data_root}annotations/instances_val2017.json'),
    dict(
        type='SemanticMetric',
        ann_file='${data_root}annotations/panoptic_val2017.json',
        seg_prefix='${data_root}annotations/panoptic_val2017/'),
]
