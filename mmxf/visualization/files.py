"""Reading and writing pictures, and panoptic maps from official files."""

from pathlib import Path

import cv2
import numpy as np

from .panoptic import INSTANCE_OFFSET


def write_image(path, image: np.ndarray) -> Path:
    """Write an RGB uint8 image; the folder is made. Raises OSError where it cannot be written."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # imwrite picks the format by suffix but mangles non-ASCII paths on some systems; encoding in memory
    # does not.
    ok, data = cv2.imencode(path.suffix or '.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not ok:
        raise OSError(f'cannot encode {path}: unknown image format {path.suffix!r}')
    path.write_bytes(data.tobytes())
    return path


def read_rgb(path) -> np.ndarray:
    """Read an image as (H, W, 3) uint8 RGB. Raises FileNotFoundError, or ValueError naming an undecodable
    file.
    """
    data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise ValueError(f'{path} is not an image that can be decoded')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def panoptic_from_png(
    path, segments: list[dict], void: int, cat2label: dict[int, int] | None = None
) -> np.ndarray:
    """Panoptic map in mmdet's encoding from a file in COCO's panoptic format (id = R + 256 G + 65536 B).

    Args:
        path: the PNG.
        segments: each with ``id`` and its class: ``label`` (or mmdet's ``category``) as contiguous index, or
            ``category_id``, looked up in ``cat2label``. Crowd segments become void.
        void: label of void, the number of classes.

    Returns:
        (H, W) int64, label + instance id * 1000, instance ids from 1 per class.
    """
    rgb = read_rgb(path).astype(np.int64)
    ids = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
    values, index = np.unique(ids, return_inverse=True)
    table = dict.fromkeys(values.tolist(), void)
    count: dict[int, int] = {}
    for segment in segments:
        label = segment.get('label', segment.get('category'))
        if label is None and cat2label is not None:
            label = cat2label.get(segment['category_id'])
        if label is None or segment.get('iscrowd') or segment['id'] not in table:
            continue
        count[label] = count.get(label, 0) + 1
        table[segment['id']] = int(label) + count[label] * INSTANCE_OFFSET
    return np.array([table[v] for v in values.tolist()], np.int64)[index.reshape(ids.shape)]
