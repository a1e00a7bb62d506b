# kMaX-DeepLab on Cityscapes: 60k iterations, batch 32.
#
# 60,000 iterations x 32 images / 2,975 training images = 645 epochs.
# Warm-up: 5,000 x 32 / 2,975 = 53.8 epochs. Validation every 5,000 iterations: 12 times.
# Other batch sizes: `mmxf train` scales the rate linearly with (GPUs x train_dataloader.batch_size) / 32.
_base_ = 'kmax_coco_150k.py'

train_cfg = dict(max_iters=60000)
optim_wrapper = dict(optimizer=dict(lr=3e-4))
auto_scale_lr = dict(base_batch_size=32)
