"""The mini model on MiniWorld's people with COCO's 17 joints, which have no pelvis: the root is the middle of the hips."""
_base_ = 'ktpformer_f27_mini.py'

train_dataloader = dict(dataset=dict(type='CocoLifting'))
val_dataloader = dict(dataset=dict(type='CocoLifting'))
test_dataloader = val_dataloader
