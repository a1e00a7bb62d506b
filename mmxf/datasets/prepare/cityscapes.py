"""Cityscapes: training ids and panoptic files from the official label maps, as cityscapesscripts makes them.

The class table is that of cityscapesscripts. Its own converters take half a second an image, write in place
and have to run to the end; the results here are the same (``createTrainIdLabelImgs``,
``createPanopticImgs`` without ``--use-train-id``), made at several times the speed, whole or not at all.
"""
from pathlib import Path

import cv2
import numpy as np

from mmxf.evaluation.panoptic_png import write_panoptic_png, write_png
from mmxf.evaluation.panoptic_report import write_json

from .archives import unpack_where_needed
from .report import Download, Progress, Report, in_threads, silent
from .segments import measure_segments, segment_info

SPLITS = ('train', 'val')
OFFICIAL_IMAGES = {'train': 2975, 'val': 500, 'test': 1525}
SITE = 'https://www.cityscapes-dataset.com/downloads/ (free account)'
# Of the two maps, only these are derived from; the others are derived or not needed.
SOURCES = ('labelIds', 'instanceIds')


def prepare(root: Path, splits: tuple[str, ...] = SPLITS, workers: int = 1, check_only: bool = False,
            progress: Progress = silent) -> Report:
    """Checks ``leftImg8bit/`` and ``gtFine/`` of each split; makes ``*_labelTrainIds.png``,
    ``gtFine/cityscapes_panoptic_{split}.json`` and the folder of its PNGs where they are absent.

    Args:
        root: holds ``leftImg8bit/`` and ``gtFine/``, or their zip archives.
        splits: of 'train', 'val' ('test' has no public labels).
        workers: threads.
        check_only: change nothing.
        progress: makes progress callbacks.
    """
    report = Report()
    images = Download('leftImg8bit_trainvaltest.zip', SITE, root)
    labels = Download('gtFine_trainvaltest.zip', SITE, root)
    for download, folder in ((images, 'leftImg8bit'), (labels, 'gtFine')):
        unpack_where_needed(root / download.file, root / folder, root, report, progress, check_only)
    for split in splits:
        stems = sorted(str(path.relative_to(root / 'leftImg8bit')).removesuffix('_leftImg8bit.png')
                       for path in (root / 'leftImg8bit' / split).glob('*/*_leftImg8bit.png'))
        if not stems:
            report.missing.append(f'{root}/leftImg8bit/{split}/<city>/*_leftImg8bit.png: {images}')
            continue
        report.ready.append(f'{root}/leftImg8bit/{split}/: {len(stems)} images')
        if len(stems) != OFFICIAL_IMAGES[split]:
            report.notes.append(f'leftImg8bit/{split} holds {len(stems)} images, the official split '
                                f'{OFFICIAL_IMAGES[split]}')
        absent = [f'{stem}_gtFine_{kind}.png' for stem in stems for kind in SOURCES
                  if not (root / 'gtFine' / f'{stem}_gtFine_{kind}.png').is_file()]
        if absent:
            report.missing.append(f'{root}/gtFine/: {len(absent)} of {2 * len(stems)} label maps, the first '
                                  f'{absent[0]}; {labels}')
            continue
        report.ready.append(f'{root}/gtFine/{split}/: {len(stems)} labelIds and instanceIds')
        _train_ids(root / 'gtFine', split, stems, workers, check_only, progress, report)
        _panoptic(root / 'gtFine', split, stems, workers, check_only, progress, report)
    return report


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 2:
        raise ValueError(f'{path}: not a grey PNG that can be decoded; unpack gtFine_trainvaltest.zip again')
    return image


def _train_ids(folder: Path, split: str, stems: list[str], workers: int, check_only: bool, progress: Progress,
               report: Report) -> None:
    from cityscapesscripts.helpers.labels import labels
    table = np.full(256, 255, np.uint8)
    for label in labels:
        if label.id >= 0:
            table[label.id] = label.trainId if label.trainId >= 0 else 255
    todo = [stem for stem in stems if not (folder / f'{stem}_gtFine_labelTrainIds.png').is_file()]
    if not todo:
        report.ready.append(f'{folder}/{split}/: {len(stems)} labelTrainIds')
    elif check_only:
        report.missing.append(f'{folder}/{split}/: {len(todo)} labelTrainIds; run without --check-only')
    else:
        def convert(stem: str) -> None:
            write_png(folder / f'{stem}_gtFine_labelTrainIds.png',
                      table[_read(folder / f'{stem}_gtFine_labelIds.png')])
        for _ in in_threads(convert, todo, workers, progress(f'{split} labelTrainIds')):
            pass
        report.made.append(f'{folder}/{split}/: {len(todo)} labelTrainIds')


def convert_instance_ids(path: Path, out: Path) -> list[dict]:
    """Panoptic PNG of a 16-bit ``instanceIds`` map (left alone where it exists); returns its
    ``segments_info``.

    Ids below 1000 are a whole class: stuff, or a crowd of things. Classes ignored in evaluation become void.
    """
    from cityscapesscripts.helpers.labels import id2label
    ids = _read(path)
    table, infos = np.zeros(65536, np.int64), []
    for segment, area, box in zip(*measure_segments(ids)):
        whole = segment < 1000
        label = id2label[int(segment if whole else segment // 1000)]
        if not label.ignoreInEval:
            table[segment] = segment
            infos.append(segment_info(segment, label.id, area, box, iscrowd=whole and label.hasInstances))
    if not out.is_file():
        write_panoptic_png(out, table[ids])
    return infos


def _panoptic(folder: Path, split: str, stems: list[str], workers: int, check_only: bool, progress: Progress,
              report: Report) -> None:
    from cityscapesscripts.helpers.labels import labels
    name = f'cityscapes_panoptic_{split}'
    image_ids = [stem.rpartition('/')[2] for stem in stems]
    pngs = [folder / name / f'{image_id}_gtFine_panoptic.png' for image_id in image_ids]
    if (folder / f'{name}.json').is_file() and all(png.is_file() for png in pngs):
        report.ready.append(f'{folder}/{name}.json and {len(pngs)} PNGs')
        return
    if check_only:
        report.missing.append(f'{folder}/{name}.json and its PNGs; run without --check-only to make them')
        return
    (folder / name).mkdir(exist_ok=True)

    def convert(item: tuple[str, Path]) -> tuple[list[dict], tuple[int, int]]:
        path = folder / f'{item[0]}_gtFine_instanceIds.png'
        return convert_instance_ids(path, item[1]), _read(path).shape

    images, annotations = [], []
    results = in_threads(convert, zip(stems, pngs), workers, progress(f'{split} panoptic'))
    for image_id, png, (infos, (height, width)) in zip(image_ids, pngs, results):
        # file_name so in the official files, too; the image itself is *_leftImg8bit.png.
        images.append({'id': image_id, 'width': width, 'height': height,
                       'file_name': f'{image_id}_gtFine_leftImg8bit.png'})
        annotations.append({'image_id': image_id, 'file_name': png.name, 'segments_info': infos})
    categories = [{'id': label.id, 'name': label.name, 'color': list(label.color),
                   'supercategory': label.category, 'isthing': int(label.hasInstances)}
                  for label in labels if not label.ignoreInEval]
    write_json(folder / f'{name}.json',
               {'images': images, 'annotations': annotations, 'categories': categories})
    report.made.append(f'{folder}/{name}.json and {len(pngs)} PNGs')
