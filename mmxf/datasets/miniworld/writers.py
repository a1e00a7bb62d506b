"""MiniWorld in the official COCO formats: panoptic JSON and PNG, instances JSON with RLE masks and keypoints.

    ROOT/annotations/{panoptic,instances}_{train,val}.json
    ROOT/{train,val}/*.jpg            ROOT/panoptic_{train,val}/*.png
    ROOT/miniworld.json               written last: its presence says that the set is complete

The set grows in ROOT/.partial and moves into place when all of it is there, so what lies in ROOT is never
half a set.
"""

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path

import numpy as np

from .annotations import Frame, render_frame
from .metainfo import CLASSES, PALETTE, THING_CLASSES
from .people import COCO_JOINTS, COCO_SKELETON
from .scene import make_scene

VERSION = 1  # raise it when the same arguments would give other files
MARKER = 'miniworld.json'
PARTIAL = '.partial'
MOVING = '.moving'  # there while finished parts move into place
PARTS = ('annotations', 'train', 'val', 'panoptic_train', 'panoptic_val')
SPLITS = ('train', 'val')
STEP = 0.1  # seconds between frames of a moving scene


class ExistingDataError(RuntimeError):
    """ROOT holds something that must not be overwritten unasked."""


@dataclass(frozen=True)
class Request:
    """What to write; two equal requests give equal files.

    Args:
        train, val: number of images. width, height: pixels. seed: any int >= 0.
        camera: 'perspective' or 'equirectangular'. style: 'room', 'ground' or None for both.
        frames_per_scene: 1 for still pictures; more: that many successive frames of each moving scene.
        antialias: smooth edges; about twice the time.
    """

    train: int
    val: int
    width: int
    height: int
    seed: int = 0
    camera: str = 'perspective'
    style: str | None = None
    frames_per_scene: int = 1
    antialias: bool = True

    def __post_init__(self):
        for name, least in (
            ('train', 0),
            ('val', 0),
            ('width', 16),
            ('height', 16),
            ('seed', 0),
            ('frames_per_scene', 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(f'{name} must be at least {least}, got {getattr(self, name)}')
        if self.train + self.val == 0:
            raise ValueError('train and val are both 0: nothing to write')


def sample(request: Request, split: str, index: int) -> Frame:
    """Frame ``index`` of a split; depends on nothing but the arguments."""
    number, step = divmod(index, request.frames_per_scene)
    scene = make_scene(
        (request.seed, SPLITS.index(split), number),
        request.width,
        request.height,
        request.camera,
        request.style,
        moving=request.frames_per_scene > 1,
    )
    return render_frame(scene, step * STEP, antialias=request.antialias)


def categories() -> list[dict]:
    """COCO panoptic categories: id = label + 1, name, isthing, colour."""
    return [
        dict(
            id=k + 1,
            name=name,
            supercategory='thing' if name in THING_CLASSES else 'stuff',
            isthing=int(name in THING_CLASSES),
            color=list(PALETTE[k]),
        )
        for k, name in enumerate(CLASSES)
    ]


def instance_categories() -> list[dict]:
    """COCO instance categories: the things, persons with keypoint names and skeleton."""
    out = [dict(id=c['id'], name=c['name'], supercategory='thing') for c in categories() if c['isthing']]
    out[CLASSES.index('person')].update(
        keypoints=list(COCO_JOINTS), skeleton=[list(b) for b in COCO_SKELETON]
    )
    return out


def ids_to_rgb(ids: np.ndarray) -> np.ndarray:
    """Segment ids (H, W) -> (H, W, 3) uint8 of the panoptic PNG: id = R + 256 G + 256^2 B."""
    return np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1).astype(np.uint8)


def panoptic_annotation(frame: Frame, image_id: int, file_name: str) -> dict:
    """Entry of a frame in ``annotations`` of the panoptic JSON."""
    segments = [
        dict(id=s['id'], category_id=s['label'] + 1, area=s['area'], bbox=s['bbox'], iscrowd=0)
        for s in frame.segments_info
    ]
    return dict(image_id=image_id, file_name=file_name, segments_info=segments)


def instance_annotations(frame: Frame, image_id: int) -> list[dict]:
    """Entries of a frame's things in ``annotations`` of the instances JSON, without their ``id``."""
    from pycocotools import mask as coco_mask

    poses = {pose.track_id: pose for pose in frame.poses}
    out = []
    for s in frame.segments_info:
        if not s['isthing']:
            continue
        rle = coco_mask.encode(np.asfortranarray(frame.segments == s['id'], dtype=np.uint8))
        rle['counts'] = rle['counts'].decode('ascii')
        ann = dict(
            image_id=image_id,
            category_id=s['label'] + 1,
            segmentation=rle,
            area=s['area'],
            bbox=s['bbox'],
            iscrowd=0,
            track_id=s['track_id'],
        )
        if CLASSES[s['label']] == 'person':
            pose = poses[s['track_id']]
            flat = []
            for (x, y), v in zip(pose.joints_2d, pose.visibility):
                flat += [round(float(x), 2), round(float(y), 2), int(v)] if v else [0, 0, 0]
            ann.update(keypoints=flat, num_keypoints=int((pose.visibility > 0).sum()))
        out.append(ann)
    return out


def write_frame(request: Request, folder: Path, split: str, index: int) -> tuple[dict, dict, list[dict]]:
    """Render a frame, write its picture and PNG; returns the image entry and its two kinds of annotations."""
    import cv2

    frame = sample(request, split, index)
    image_id = index + 1
    stem = f'{image_id:012d}'
    ok, jpg = cv2.imencode(
        '.jpg', np.ascontiguousarray(frame.image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95]
    )
    ok_png, png = cv2.imencode('.png', np.ascontiguousarray(ids_to_rgb(frame.segments)[..., ::-1]))
    if not (ok and ok_png):
        raise RuntimeError(f'OpenCV could not encode frame {index} of {split}')
    # Written by Python, not by cv2.imwrite, which is silent about a full disk.
    (folder / split / f'{stem}.jpg').write_bytes(jpg.tobytes())
    (folder / f'panoptic_{split}' / f'{stem}.png').write_bytes(png.tobytes())
    number, step = divmod(index, request.frames_per_scene)
    image = dict(id=image_id, file_name=f'{stem}.jpg', width=request.width, height=request.height)
    if request.frames_per_scene > 1:
        image.update(video_id=number + 1, frame_id=step)
    return image, panoptic_annotation(frame, image_id, f'{stem}.png'), instance_annotations(frame, image_id)


def _job(args):
    return write_frame(*args)


def results(function: Callable, jobs: list, workers: int) -> Iterator:
    """``function`` of each job, in order, by that many processes where it is worth their start."""
    if workers <= 1 or len(jobs) < 8:
        yield from map(function, jobs)
        return
    method = 'fork' if 'fork' in get_all_start_methods() else 'spawn'
    with ProcessPoolExecutor(workers, mp_context=get_context(method)) as pool:
        yield from pool.map(function, jobs, chunksize=4)


def check_same(marker: Path, wanted: dict) -> None:
    """Checks that the set which a marker describes is the one that is wanted.

    Raises:
        ExistingDataError: it is another, or the marker cannot be read.
    """
    try:
        there = json.loads(marker.read_text())
    except ValueError as e:
        raise ExistingDataError(f'{marker} is not readable ({e}). Use --force to write the set anew.') from e
    if there == wanted:
        return
    keys = sorted(k for k in {*wanted, *there} if wanted.get(k) != there.get(k))
    changed = ', '.join(f'{k}: {there.get(k)} there, {wanted.get(k)} wanted' for k in keys)
    raise ExistingDataError(
        f'{marker.parent} holds another MiniWorld ({changed}). Use another --root, or --force to replace it.'
    )


def check_existing(root: Path, request: Request, force: bool = False) -> bool:
    """Whether ROOT already holds this very set (and ``force`` does not ask for it anew).

    Raises:
        ExistingDataError: it holds another MiniWorld and ``force`` is off, or files that are not
        MiniWorld's, which
            are never touched.
    """
    marker = root / MARKER
    if not marker.exists():
        foreign = [p for p in PARTS if (root / p).exists()]
        if foreign and not (root / MOVING).exists():
            raise ExistingDataError(
                f'{root} holds {", ".join(foreign)}, but no {MARKER}: not a MiniWorld, perhaps '
                'other data. Use another --root, or remove them yourself.'
            )
        return False
    if force:
        return False
    check_same(marker, dict(version=VERSION, **asdict(request)))
    lost = [p for p in expected_parts(request) if not (root / p).exists()]
    if lost:
        raise ExistingDataError(
            f'{root} has lost {", ".join(lost)} since it was written. Use --force to write it anew.'
        )
    return True


def expected_parts(request: Request) -> list[str]:
    """Folders and annotation files that a complete set has."""
    out = []
    for split in SPLITS:
        if getattr(request, split):
            out += [split, f'panoptic_{split}']
            out += [f'annotations/{kind}_{split}.json' for kind in ('panoptic', 'instances')]
    return out


@contextlib.contextmanager
def _only_writer(root: Path):
    """Hold ROOT for this process, where the system has file locks; the kernel lets go when the process
    ends."""
    root.mkdir(parents=True, exist_ok=True)
    with open(root / '.lock', 'w') as handle:
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass
        except BlockingIOError as e:
            raise ExistingDataError(f'another process is writing {root} right now') from e
        yield


def write_dataset(
    root: str | Path,
    request: Request,
    workers: int = 1,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> bool:
    """Write the set that ``request`` asks for below ``root``.

    Args:
        workers: processes. force: replace another MiniWorld. progress: called with (done, total) after each
            image.

    Returns:
        False when the same set was there already, True when it was written.

    Raises:
        ExistingDataError: see :func:`check_existing`; OSError: e.g. the disk is full. Nothing half-done is
        left.
    """
    root = Path(root)
    with _only_writer(root):
        if check_existing(root, request, force):
            return False
        partial = root / PARTIAL
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _fill(partial, request, workers, progress or (lambda done, total: None))
            _install(root, partial, request)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        return True


def _fill(partial: Path, request: Request, workers: int, progress) -> None:
    (partial / 'annotations').mkdir(parents=True)
    total, done = request.train + request.val, 0
    for split in SPLITS:
        count = getattr(request, split)
        if not count:
            continue
        (partial / split).mkdir()
        (partial / f'panoptic_{split}').mkdir()
        images, panoptic, instances = [], [], []
        for image, one, many in results(
            _job, [(request, partial, split, k) for k in range(count)], workers
        ):
            images.append(image)
            panoptic.append(one)
            instances += [dict(id=len(instances) + k + 1, **ann) for k, ann in enumerate(many)]
            done += 1
            progress(done, total)
        info = dict(description='MiniWorld, rendered by mmxf', **asdict(request))
        common = dict(info=info, licenses=[], images=images)
        for name, cats, anns in (
            ('panoptic', categories(), panoptic),
            ('instances', instance_categories(), instances),
        ):
            path = partial / 'annotations' / f'{name}_{split}.json'
            path.write_text(json.dumps(dict(common, annotations=anns, categories=cats)))


def _install(root: Path, partial: Path, request: Request) -> None:
    """Move the finished parts into place; the marker comes last."""
    (root / MOVING).touch()
    (root / MARKER).unlink(missing_ok=True)
    for part in PARTS:
        if (root / part).exists():
            shutil.rmtree(root / part)
        if (partial / part).exists():
            os.replace(partial / part, root / part)
    text = json.dumps(dict(version=VERSION, **asdict(request)), indent=1)
    (partial / MARKER).write_text(text)
    os.replace(partial / MARKER, root / MARKER)
    partial.rmdir()
    (root / MOVING).unlink()
