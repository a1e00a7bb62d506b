"""Mask R-CNN with KAT-B on COCO by ViTDet's recipe."""
_base_ = 'kat_s_coco.py'

arch = 'base'
channels = 768
drop_path_rate = 0.4
checkpoint = 'data/weights/kat_b.pth'
