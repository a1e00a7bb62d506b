"""kMaX-DeepLab, ResNet-50, COCO panoptic: the paper's table of COCO val, row ResNet-50 (official model zoo: 53.3 PQ).

64 images a step; the official run took 53 hours on 32 V100. The backbone starts from ImageNet weights:

    python tools/convert_checkpoint.py kmax resnet50.pth data/weights/resnet50.pth
"""
_base_ = [
    '_base_/r50.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/kmax_coco_150k.py',
    '../_base_/default_runtime.py',
]

image_size = (1281, 1281)    # odd: corners of all strides coincide (1281 = 32 * 40 + 1)

# --tta: the image, its mirror image, and both at three quarters of the size.
tta_model = dict(type='PanopticTTA', scales=(1.0, 0.75), flip=True)
