"""COCO panoptic: nothing is derived, but the PNGs come as archives inside an archive."""
from pathlib import Path

from mmxf.evaluation.panoptic_files import load_panoptic_json

from .archives import unpack_where_needed
from .report import Download, Progress, Report, absent_files, silent

SPLITS = ('train', 'val')
NUM_CATEGORIES = 133
HOST = 'http://images.cocodataset.org'


def prepare(root: Path, splits: tuple[str, ...] = SPLITS, workers: int = 1, check_only: bool = False,
            progress: Progress = silent) -> Report:
    """Checks ``root`` for images, panoptic JSON and PNGs of each split; unpacks archives lying there.

    Args:
        root: holds ``annotations/``, ``train2017/``, ``val2017/``.
        splits: of 'train', 'val'.
        workers: unused, nothing is computed.
        check_only: change nothing.
        progress: makes progress callbacks.
    """
    report = Report()
    folder = root / 'annotations'
    panoptic = Download('panoptic_annotations_trainval2017.zip',
                        f'{HOST}/annotations/panoptic_annotations_trainval2017.zip', root)
    for split in splits:
        images, name = root / f'{split}2017', f'panoptic_{split}2017'
        archive = root / panoptic.file
        unpack_where_needed(archive, folder / f'{name}.json', root, report, progress, check_only)
        unpack_where_needed(folder / f'{name}.zip', folder / name, folder, report, progress, check_only)
        unpack_where_needed(root / f'{split}2017.zip', images, root, report, progress, check_only)
        if not (folder / f'{name}.json').is_file():
            report.missing.append(f'{folder / name}.json: {panoptic}')
            continue
        content = load_panoptic_json(folder / f'{name}.json', ('images', 'annotations', 'categories'))
        if len(content['categories']) != NUM_CATEGORIES:
            report.notes.append(f"{folder / name}.json has {len(content['categories'])} categories, COCO's "
                                f'own file {NUM_CATEGORIES}')
        _check(report, folder / name, [a['file_name'] for a in content['annotations']], 'PNGs',
               f'they are in annotations/{name}.zip inside it: {panoptic}')
        download = Download(f'{split}2017.zip', f'{HOST}/zips/{split}2017.zip', root)
        _check(report, images, [image['file_name'] for image in content['images']], 'images', str(download))
        if not (folder / f'instances_{split}2017.json').is_file():
            report.notes.append(f'{folder}/instances_{split}2017.json is absent; only instance AP needs it '
                                f'({HOST}/annotations/annotations_trainval2017.zip)')
    return report


def _check(report: Report, folder: Path, names: list[str], what: str, remedy: str) -> None:
    absent = absent_files(folder, names)
    if absent:
        report.missing.append(f'{folder}/: {len(absent)} of {len(names)} {what}, the first {absent[0]}; '
                              f'{remedy}')
    else:
        report.ready.append(f'{folder}/: {len(names)} {what}')
