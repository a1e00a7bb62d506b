"""ADE20K panoptic files from the scene parsing labels and the instance labels of the 2017 challenge.

The rules are those published with Mask2Former, whose files the panoptic papers evaluate on: stuff from
``annotations/``, then things from ``annotations_instance/`` painted over it; pixels of thing classes
without an instance are void; the stated area of stuff is that before things cover it. Segment ids differ
(theirs are random colours): here ``category + 1 + 256 * instance``.
"""
from pathlib import Path

import cv2
import numpy as np

from mmxf.datasets.ade20k_classes import ADE20K_CLASSES
from mmxf.evaluation.panoptic_png import write_panoptic_png
from mmxf.evaluation.panoptic_report import write_json

from .archives import unpack_where_needed
from .report import Download, Progress, Report, in_threads, silent
from .segments import measure_segments, segment_info

SPLITS = ('train', 'val')
FOLDERS = {'train': 'training', 'val': 'validation'}
OFFICIAL_IMAGES = {'train': 20210, 'val': 2000}
BASE = 'ADEChallengeData2016'
SITE = 'http://sceneparsing.csail.mit.edu'
# The k-th of the 100 instance classes (from 1) is the k-th thing of the 150.
THING_IDS = np.array([k for k, (_, isthing, _) in enumerate(ADE20K_CLASSES) if isthing])


def prepare(root: Path, splits: tuple[str, ...] = SPLITS, workers: int = 1, check_only: bool = False,
            progress: Progress = silent) -> Report:
    """Checks images, semantic and instance labels; makes ``ade20k_panoptic_{split}.json`` and its PNG folder.

    Args:
        root: ``ADEChallengeData2016`` or the folder that holds it (or its archives).
        splits: of 'train', 'val'.
        workers: threads.
        check_only: change nothing.
        progress: makes progress callbacks.
    """
    report = Report()
    base = root if root.name == BASE or (root / 'annotations').is_dir() else root / BASE
    scene = Download(f'{BASE}.zip', f'http://data.csail.mit.edu/places/ADEchallenge/{BASE}.zip', base.parent)
    instance = Download('annotations_instance.tar',
                        f'{SITE}/data/ChallengeData2017/annotations_instance.tar', base)
    unpack_where_needed(base.parent / scene.file, base / 'images', base.parent, report, progress, check_only)
    for archive in (base / instance.file, base.parent / instance.file):
        unpack_where_needed(archive, base / 'annotations_instance', base, report, progress, check_only)
    for split in splits:
        folder = FOLDERS[split]
        stems = sorted(path.stem for path in (base / 'images' / folder).glob('*.jpg'))
        if not stems:
            report.missing.append(f'{base}/images/{folder}/*.jpg: {scene}')
            continue
        report.ready.append(f'{base}/images/{folder}/: {len(stems)} images')
        if len(stems) != OFFICIAL_IMAGES[split]:
            report.notes.append(f'images/{folder} holds {len(stems)} images, the official split '
                                f'{OFFICIAL_IMAGES[split]}')
        complete = True
        for kind, download in (('annotations', scene), ('annotations_instance', instance)):
            absent = [stem for stem in stems if not (base / kind / folder / f'{stem}.png').is_file()]
            if absent:
                complete = False
                report.missing.append(f'{base}/{kind}/{folder}/: {len(absent)} of {len(stems)} label maps, '
                                      f'the first {absent[0]}.png; {download}')
            else:
                report.ready.append(f'{base}/{kind}/{folder}/: {len(stems)} label maps')
        if complete:
            _panoptic(base, split, stems, workers, check_only, progress, report)
    return report


def combine(semantic: np.ndarray, instances: np.ndarray, name: str) -> tuple[np.ndarray, list[dict]]:
    """Panoptic map of one image.

    Args:
        semantic: (H, W) uint8, 0 = unlabelled, else class + 1.
        instances: (H, W, 2) uint8: thing class 1..100 and instance number, 0 = none.
        name: of the image, for messages.

    Returns:
        ids (H, W) int64 with 0 = void, and ``segments_info``: stuff by class, then things by instance number.
    """
    if semantic.shape != instances.shape[:2]:
        raise ValueError(f'{name}: semantic map is {semantic.shape}, instance map {instances.shape[:2]}')
    if semantic.max(initial=0) > len(ADE20K_CLASSES):
        raise ValueError(f'{name}: semantic label {semantic.max()} is beyond {len(ADE20K_CLASSES)} classes')
    infos = []
    is_stuff = np.array([False] + [not isthing for _, isthing, _ in ADE20K_CLASSES])
    ids = np.where(is_stuff[semantic], semantic, 0).astype(np.int64)  # class + 1
    for segment, area, box in zip(*measure_segments(ids)):
        if segment:
            infos.append(segment_info(segment, segment - 1, area, box))
    kind, number = instances[..., 0].astype(np.int64), instances[..., 1].astype(np.int64)
    code = np.where(number > 0, kind + 256 * number, 0)
    codes, areas, boxes = measure_segments(code)
    numbers = codes[codes > 0] >> 8
    if numbers.size != np.unique(numbers).size:
        raise ValueError(f'{name}: an instance number is used by two classes; the labels are broken')
    for segment, area, box in zip(codes, areas, boxes):
        if segment:
            kind_of = int(segment & 255)
            if not 1 <= kind_of <= THING_IDS.size:
                raise ValueError(f'{name}: instance class {kind_of} is not among 1..{THING_IDS.size}')
            category = int(THING_IDS[kind_of - 1])
            infos.append(segment_info(category + 1 + 256 * (segment >> 8), category, area, box))
    classes = np.concatenate(([0], THING_IDS, np.zeros(255 - THING_IDS.size, np.int64)))[kind]
    return np.where(number > 0, classes + 1 + 256 * number, ids), infos


def _panoptic(base: Path, split: str, stems: list[str], workers: int, check_only: bool, progress: Progress,
              report: Report) -> None:
    name, folder = f'ade20k_panoptic_{split}', FOLDERS[split]
    pngs = [base / name / f'{stem}.png' for stem in stems]
    if (base / f'{name}.json').is_file() and all(png.is_file() for png in pngs):
        report.ready.append(f'{base}/{name}.json and {len(pngs)} PNGs')
        return
    if check_only:
        report.missing.append(f'{base}/{name}.json, its PNGs; run without --check-only to make them')
        return
    (base / name).mkdir(exist_ok=True)

    def convert(item: tuple[str, Path]) -> tuple[list[dict], tuple[int, int]]:
        stem, png = item
        maps = []
        for kind in ('annotations', 'annotations_instance'):
            path = base / kind / folder / f'{stem}.png'
            image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if image is None or image.ndim != len(maps) + 2:
                raise ValueError(f'{path}: cannot be decoded as a {"grey" if not maps else "colour"} PNG')
            maps.append(image)
        ids, infos = combine(maps[0], maps[1][..., [2, 1]], f'{base}/annotations*/{folder}/{stem}.png')
        if not png.is_file():
            write_panoptic_png(png, ids)
        return infos, ids.shape

    images, annotations = [], []
    results = in_threads(convert, zip(stems, pngs), workers, progress(f'{split} panoptic'))
    for stem, (infos, (height, width)) in zip(stems, results):
        images.append({'id': stem, 'file_name': f'{stem}.jpg', 'width': width, 'height': height})
        annotations.append({'image_id': stem, 'file_name': f'{stem}.png', 'segments_info': infos})
    categories = [{'id': k, 'name': label, 'isthing': isthing, 'color': list(color)}
                  for k, (label, isthing, color) in enumerate(ADE20K_CLASSES)]
    write_json(base / f'{name}.json',
               {'images': images, 'annotations': annotations, 'categories': categories})
    report.made.append(f'{base}/{name}.json and {len(pngs)} PNGs')
