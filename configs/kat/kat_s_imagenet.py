"""KAT-S on ImageNet-1k from scratch: the paper's table of ImageNet, row KAT-S (81.2% top-1). 8 GPUs x 128 images."""
_base_ = 'kat_t_imagenet.py'

arch = 'small'
channels = 384
