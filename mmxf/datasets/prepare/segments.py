"""Areas and boxes of all segments of a label map at once, from its runs."""
import numpy as np


def measure_segments(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measures the segments of a map.

    Args:
        ids: (H, W) integer ids.

    Returns:
        ids (S,) that occur, ascending; areas (S,) int64 in pixels; boxes (S, 4) int64 [x, y, width, height].
    """
    height, width = ids.shape
    change = np.ones((height, width), bool)  # every row starts a run
    np.not_equal(ids[:, 1:], ids[:, :-1], out=change[:, 1:])
    heads = np.flatnonzero(change)
    lengths = np.diff(heads, append=ids.size)
    y, x = np.divmod(heads, width)
    values, which = np.unique(ids.ravel()[heads], return_inverse=True)
    areas = np.bincount(which, weights=lengths).astype(np.int64)
    low = np.full((values.size, 2), max(height, width))
    high = np.zeros((values.size, 2), np.int64)
    np.minimum.at(low, which, np.stack((x, y), 1))
    np.maximum.at(high, which, np.stack((x + lengths, y + 1), 1))
    return values, areas, np.concatenate((low, high - low), 1)


def segment_info(segment_id: int, category_id: int, area: int, box: np.ndarray, iscrowd: int = 0) -> dict:
    """One entry of ``segments_info`` in COCO's panoptic format."""
    return {'id': int(segment_id), 'category_id': int(category_id), 'area': int(area),
            'bbox': [int(value) for value in box], 'iscrowd': int(iscrowd)}
