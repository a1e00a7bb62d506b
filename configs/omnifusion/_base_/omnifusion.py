"""The model of the paper: ResNet-34 on 18 patches of 128 x 128 pixels, geometry, transformer, merging by confidence; BerHu."""
model = dict(
    type='DepthEstimator',
    data_preprocessor=dict(type='DepthPreprocessor', mean=(0., 0., 0.), std=(255., 255., 255.), bgr_to_rgb=False),
    backbone=dict(
        type='OmniFusion',
        rows=4,                # 18 patches
        fov=80.0,              # as the official code reads it: 69.84 degrees
        patch_size=128,
        geometry='centre',
        iterations=1,
        confidence=True,
        encoder=dict(
            type='DepthResNet',
            depth=34,
            # torchvision's file, fetched (torchvision itself is not needed); read with bgr_to_rgb=False, as officially
            init_cfg=dict(type='Pretrained', checkpoint='https://download.pytorch.org/models/resnet34-b627a593.pth')),
        transformer=dict(type='PatchTransformer', depth=6, num_heads=4),
        decoder=dict(type='DepthDecoder')),
    losses=dict(depth=dict(type='BerHuLoss', threshold=0.2, threshold_inside=False)))
