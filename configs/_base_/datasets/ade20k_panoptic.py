# ADE20K panoptic (150 classes).
_base_ = 'panoptic_copy_paste.py'

data_root = 'data/ADEChallengeData2016/'
jitter_scales = (0.5, 2.0)
paste_scales = (0.25, 1.0)  # of the second image: half of the first's
min_labelled = 4096 / 321**2  # 4096 of the 321x321 pixels of the masks at crop 1281x1281

train_dataloader = dict(
    dataset=dict(
        type='ADE20KPanoptic',
        ann_file='ade20k_panoptic_train.json',  # 20,210 images
        data_prefix=dict(img='images/training/', seg='ade20k_panoptic_train/')))
val_dataloader = dict(
    dataset=dict(
        type='ADE20KPanoptic',
        ann_file='ade20k_panoptic_val.json',  # 2,000 images
        data_prefix=dict(img='images/validation/', seg='ade20k_panoptic_val/')))
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='PanopticMetric',
        ann_file='${data_root}ade20k_panoptic_val.json',
        seg_prefix='${data_root}ade20k_panoptic_val/'),
    dict(
        type='SemanticMetric',
        map_path=[('images/', 'annotations/'), ('.jpg', '.png')],
        reduce_zero_label=True),
]
test_evaluator = [  # and, which would make validation slower: AP; no two instances overlap, so they are the things
    *val_evaluator,
    dict(
        type='InstanceMetric',
        ann_file='${data_root}ade20k_panoptic_val.json',
        seg_prefix='${data_root}ade20k_panoptic_val/'),
]
