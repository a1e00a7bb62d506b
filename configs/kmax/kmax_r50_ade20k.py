"""kMaX-DeepLab, ResNet-50, ADE20K panoptic: the paper's table of ADE20K val (official model zoo: 42.2 PQ). 64 images a step."""
_base_ = [
    '_base_/r50.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/schedules/kmax_ade20k_100k.py',
    '../_base_/default_runtime.py',
]

image_size = (1281, 1281)    # odd: corners of all strides coincide (1281 = 32 * 40 + 1)

model = dict(
    head=dict(
        decoder=dict(drop_path=0.0),
        thing_threshold=0.4,
        stuff_threshold=0.4),
    val_outputs=('panoptic', 'semantic'))

# --tta: the image, its mirror image, and both at three quarters of the size.
tta_model = dict(type='PanopticTTA', scales=(1.0, 0.75), flip=True)
