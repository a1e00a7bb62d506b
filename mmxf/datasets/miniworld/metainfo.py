"""Class list of MiniWorld: the one place where names, order and colours are written.

The label of a class is its index in ``classes``; its category id in the written JSON files is label + 1.
"""

THING_CLASSES = ('person', 'sphere', 'box', 'cylinder')
STUFF_CLASSES = ('sky', 'hill', 'grass', 'road', 'floor', 'wall', 'ceiling')
CLASSES = THING_CLASSES + STUFF_CLASSES
PALETTE = [
    (220, 20, 60),
    (255, 179, 0),
    (0, 117, 220),
    (160, 60, 200),
    (125, 190, 235),
    (70, 110, 100),
    (90, 165, 60),
    (95, 90, 100),
    (165, 105, 55),
    (200, 160, 130),
    (232, 228, 214),
]

METAINFO = dict(classes=CLASSES, thing_classes=THING_CLASSES, stuff_classes=STUFF_CLASSES, palette=PALETTE)

LABELS = {name: label for label, name in enumerate(CLASSES)}


def segment_id(label: int, track_id: int = 0) -> int:
    """Id of a segment in the panoptic map: label + 1 for stuff, 1000 * (label + 1) + track id for things.

    Args:
        label: index into ``CLASSES``.
        track_id: 1..999 for things, unused for stuff.

    Raises:
        ValueError: for a thing whose track id is outside 1..999.
    """
    if label >= len(THING_CLASSES):
        return label + 1
    if not 1 <= track_id <= 999:
        raise ValueError(f'a thing needs a track id in 1..999, got {track_id}')
    return 1000 * (label + 1) + track_id


def label_of(segment: int) -> int:
    """Class label of a segment id made by :func:`segment_id`."""
    return (segment // 1000 if segment >= 1000 else segment) - 1
