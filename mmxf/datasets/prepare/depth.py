"""Depth data sets: nothing is made; split files and what they name are checked."""
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mmxf.datasets.depth import KITTIDepth, Matterport3D, NYUv2Depth, Panorama360D, Stanford2D3D, read_split
from mmxf.datasets.transforms.depth import DepthFileError, read_depth

from .report import Progress, Report, absent_files, silent

_LISTS = 'https://github.com/yuyanli0831/OmniFusion/tree/main/filenames'
_BTS = 'https://github.com/cleinc/bts/tree/master/train_test_inputs'
# data set -> class, split files by split with the official number of lines, where lists and data come from
SETS = {
    'stanford2d3d': (Stanford2D3D, {'train': ('train_stanford2d3d.txt', 1040), 'val': ('test_stanford2d3d.txt', 373)}, _LISTS,
                     'fill in the form at http://buildingparser.stanford.edu/dataset.html and unpack area_*/pano/{rgb,depth}'),
    'matterport3d': (Matterport3D, {'train': ('matterport3d_train.txt', 8786), 'val': ('matterport3d_test.txt', 2013)}, _LISTS,
                     'sign the terms at https://niessner.github.io/Matterport/ and render panoramas with UniFuse\'s script: '
                     'https://github.com/alibaba/UniFuse-Unidirectional-Fusion'),
    '360d': (Panorama360D, {'train': ('train_omnidepth.txt', None), 'val': ('test_omnidepth.txt', 1298)}, _LISTS,
             'ask for 3D60 at https://vcl3d.github.io/3D60/ and unpack Matterport/, Stanford/, SunCG/ and SceneNet/'),
    'nyuv2': (NYUv2Depth, {'train': ('nyudepthv2_train_files_with_gt.txt', 24231),
                           'val': ('nyudepthv2_test_files_with_gt.txt', 654)}, _BTS,
              'https://cs.nyu.edu/~silberman/datasets/nyu_depth_v2.html; BTS\'s page says how to cut it into files'),
    'kitti-depth': (KITTIDepth, {'train': ('eigen_train_files_with_gt.txt', 23158), 'val': ('eigen_test_files_with_gt.txt', 697)},
                    _BTS, 'raw data and annotated depth maps of https://www.cvlibs.net/datasets/kitti/eval_depth.php'),
}


def _prepare(name: str, root: Path, splits: tuple[str, ...] = ('train', 'val'), workers: int = 1, check_only: bool = False,
             progress: Progress = silent) -> Report:
    """Checks the split files, that all they name is there, and that the first depth map of each split is readable and in range.

    Args:
        name: key of SETS.
        root: folder of the data set; split files lie in it.
        splits: of 'train' and 'val' (the test list that papers report).
        workers, check_only, progress: unused; nothing is made.
    """
    kind, lists, lists_at, data_at = SETS[name]
    report = Report()
    for split in splits:
        file_name, official = lists[split]
        path = root / file_name
        if not path.is_file():
            report.missing.append(f'{path} ({split}): get the list from {lists_at} and put it into {root}/')
            continue
        pairs = read_split(path)
        report.ready.append(f'{path}: {len(pairs)} images with depth')
        if official and len(pairs) != official:
            report.notes.append(f'{file_name} names {len(pairs)} images with depth, the published list has {official} lines')
        for what, column in (('images', 0), ('depth maps', 1)):
            absent = absent_files(root, [pair[column] for pair in pairs])
            if absent:
                report.missing.append(f'{len(absent)} of {len(pairs)} {what} of {file_name}, the first {root / absent[0]}: '
                                      f'{data_at}')
            else:
                report.ready.append(f'{what} of {file_name}: all {len(pairs)}')
        first = next((pair[1] for pair in pairs if (root / pair[1]).is_file()), None)
        if first is not None:
            _check_range(report, root / first, kind)
    return report


def _check_range(report: Report, path: Path, kind: type) -> None:
    low, high = kind.DEPTH_RANGE
    try:
        depth = read_depth(path, kind.DEPTH_SCALE)
    except DepthFileError as error:
        report.missing.append(str(error))
        return
    share = float(((depth > low) & (depth <= high)).mean())
    line = f'{path}: {100 * share:.0f} % of the pixels between {low:g} and {high:g} m'
    (report.ready if share > 0 else report.missing).append(line if share > 0 else f'{line}; are these the data set\'s own files?')


def preparer(name: str) -> Callable[..., Report]:
    """The `prepare` function of a depth data set."""
    return partial(_prepare, name)
