"""The 19 classes of Cityscapes that are evaluated (https://www.cityscapes-dataset.com), as data.

The class index is the ``trainId`` of ``cityscapesscripts.helpers.labels``; things are the classes with
instances, the last eight.
"""
# id in labelIds / instanceIds, name, is it a thing, RGB colour
CITYSCAPES_CLASSES = (
    (7, 'road', 0, (128, 64, 128)),
    (8, 'sidewalk', 0, (244, 35, 232)),
    (11, 'building', 0, (70, 70, 70)),
    (12, 'wall', 0, (102, 102, 156)),
    (13, 'fence', 0, (190, 153, 153)),
    (17, 'pole', 0, (153, 153, 153)),
    (19, 'traffic light', 0, (250, 170, 30)),
    (20, 'traffic sign', 0, (220, 220, 0)),
    (21, 'vegetation', 0, (107, 142, 35)),
    (22, 'terrain', 0, (152, 251, 152)),
    (23, 'sky', 0, (70, 130, 180)),
    (24, 'person', 1, (220, 20, 60)),
    (25, 'rider', 1, (255, 0, 0)),
    (26, 'car', 1, (0, 0, 142)),
    (27, 'truck', 1, (0, 0, 70)),
    (28, 'bus', 1, (0, 60, 100)),
    (31, 'train', 1, (0, 80, 100)),
    (32, 'motorcycle', 1, (0, 0, 230)),
    (33, 'bicycle', 1, (119, 11, 32)),
)

CITYSCAPES_METAINFO = dict(
    classes=tuple(name for _, name, _, _ in CITYSCAPES_CLASSES),
    thing_classes=tuple(name for _, name, isthing, _ in CITYSCAPES_CLASSES if isthing),
    stuff_classes=tuple(name for _, name, isthing, _ in CITYSCAPES_CLASSES if not isthing),
    palette=[colour for _, _, _, colour in CITYSCAPES_CLASSES])
