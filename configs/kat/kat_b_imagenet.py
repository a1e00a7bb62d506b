"""KAT-B on ImageNet-1k from scratch: the paper's table of ImageNet, row KAT-B (82.3% top-1). 8 GPUs x 128 images."""
_base_ = 'kat_t_imagenet.py'

arch = 'base'
channels = 768
model = dict(backbone=dict(drop_path_rate=0.4))
