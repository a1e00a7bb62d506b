"""MiniWorld's panoramas with exact depth, in Stanford2D3D's layout.

    ROOT/area_1/pano/{rgb,depth}/camera_<number>_room_<number>_frame_equirectangular_domain_{rgb,depth}.png    training
    ROOT/area_5a/pano/...                                                                                      test
    ROOT/train_miniworld.txt, test_miniworld.txt     split files: picture and depth map a line
    ROOT/miniworld_depth.json                        written last: its presence says that the set is complete

Depth is along the ray, 16 bits, 65535 / 128 units a metre; what is farther than 128 m, as the sky, is 65535, as there.
"""
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .render import render
from .scene import make_scene
from .writers import ExistingDataError, check_same, results

VERSION = 1     # raise it when the same arguments would give other files
MARKER = 'miniworld_depth.json'
AREAS = {'train': 'area_1', 'test': 'area_5a'}
UNITS = 65535 / 128     # a metre


@dataclass(frozen=True)
class DepthRequest:
    """What to write; two equal requests give equal files.

    Args:
        train, test: number of panoramas. width, height: pixels, 2:1. seed: any int >= 0.
        style: 'room', 'ground' or None for both.
    """
    train: int
    test: int
    width: int = 256
    height: int = 128
    seed: int = 0
    style: str | None = 'room'

    def __post_init__(self) -> None:
        if self.width != 2 * self.height or self.height < 16:
            raise ValueError(f'a panorama is twice as wide as high and at least 32 x 16, got {self.width} x {self.height}')
        if self.train < 0 or self.test < 0 or self.train + self.test == 0 or self.seed < 0:
            raise ValueError(f'train, test and seed must not be negative, and not both counts 0; got {self.train}, {self.test}, '
                             f'{self.seed}')


def file_names(split: str, number: int) -> tuple[str, str]:
    """Picture and depth map, relative to the root, with the slash in front that the official lists have."""
    stem = f'/{AREAS[split]}/pano/{{0}}/camera_{number:06d}_room_{number}_frame_equirectangular_domain_{{0}}.png'
    return stem.format('rgb'), stem.format('depth')


def _write(job: tuple[DepthRequest, str, str, int]) -> None:
    import cv2

    request, root, split, number = job
    scene = make_scene((request.seed, list(AREAS).index(split), number), request.width, request.height, 'equirectangular',
                       request.style)
    picture = render(scene)
    units = np.where(np.isfinite(picture.depth), np.rint(np.minimum(picture.depth, 1e6) * UNITS), 65535).clip(0, 65535)
    for name, pixels in zip(file_names(split, number), (picture.image[..., ::-1], units.astype(np.uint16))):
        path = Path(root + name)
        path.parent.mkdir(parents=True, exist_ok=True)
        done, data = cv2.imencode('.png', np.ascontiguousarray(pixels))
        if not done:
            raise RuntimeError(f'OpenCV could not encode {path}')
        path.write_bytes(data.tobytes())    # cv2.imwrite is silent about a full disk


def write_depth_panoramas(root, request: DepthRequest, workers: int = 1, force: bool = False,
                          progress: Callable[[int, int], None] | None = None) -> bool:
    """Writes the set below `root`.

    Args:
        root: folder. request: what. workers: processes. force: replace another set.
        progress: called with (done, total) after each panorama.

    Returns:
        False when the same set was there already.

    Raises:
        ExistingDataError: `root` holds another set, or folders of the same names that are not MiniWorld's.
    """
    root = Path(root)
    wanted = dict(version=VERSION, **asdict(request))
    marker = root / MARKER
    if marker.is_file() and not force:
        check_same(marker, wanted)
        return False
    foreign = [area for area in AREAS.values() if (root / area).exists() and not marker.is_file()]
    if foreign and not (root / f'.{MARKER}').is_file():
        raise ExistingDataError(f'{root} holds {", ".join(foreign)}, but no {MARKER}: not a MiniWorld. Use another --root.')
    root.mkdir(parents=True, exist_ok=True)
    (root / f'.{MARKER}').touch()       # these folders are ours, even if this run ends early
    marker.unlink(missing_ok=True)
    for area in AREAS.values():
        shutil.rmtree(root / area, ignore_errors=True)
    jobs = [(request, str(root), split, number) for split in AREAS for number in range(getattr(request, split))]
    for done, _ in enumerate(results(_write, jobs, workers), 1):
        if progress:
            progress(done, len(jobs))
    for split in AREAS:
        lines = [' '.join(file_names(split, number)) for number in range(getattr(request, split))]
        (root / f'{split}_miniworld.txt').write_text(''.join(line + '\n' for line in lines))
    marker.write_text(json.dumps(wanted, indent=1))
    (root / f'.{MARKER}').unlink()
    return True
