# kMaX-DeepLab on ADE20K panoptic: 100k iterations, batch 64.
#
# 100,000 iterations x 64 images / 20,210 training images = 317 epochs.
# Warm-up: 5,000 x 64 / 20,210 = 15.8 epochs. Validation every 5,000 iterations: 20 times.
# Other batch sizes: `mmxf train` scales the rate linearly with (GPUs x train_dataloader.batch_size) / 64.
_base_ = 'kmax_coco_150k.py'

train_cfg = dict(max_iters=100000)
