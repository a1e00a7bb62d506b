"""``mmxf prepare_data``: checks an official data set and makes what the configs need of it."""
import argparse
import importlib
import sys
from pathlib import Path

from mmxf.cores import available_cores

from ._errors import user_errors

SUMMARY = 'check a data set and make its panoptic files (coco-panoptic, cityscapes, ade20k, h36m, stanford2d3d ...)'
# data set -> (module in mmxf.datasets.prepare, usual root)
DATASETS = {
    'coco-panoptic': ('coco_panoptic', 'data/coco'),
    'cityscapes': ('cityscapes', 'data/cityscapes'),
    'ade20k': ('ade20k', 'data/ADEChallengeData2016'),
    'h36m': ('h36m', 'data/h36m'),
    'stanford2d3d': ('depth', 'data/stanford2d3d'),
    'matterport3d': ('depth', 'data/matterport3d'),
    '360d': ('depth', 'data/360d'),
    'nyuv2': ('depth', 'data/nyuv2'),
    'kitti-depth': ('depth', 'data/kitti_depth'),
}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='prepare_data', description="Checks a data set's official tree, unpacks archives that lie in "
        'it, makes what is missing and says which download is absent. Run it as often as you like; '
        'data/README.md shows the trees. Exit status 1: something is missing.')
    parser.add_argument('dataset', choices=list(DATASETS))
    parser.add_argument('--root', metavar='DIR', help='of the data set (default: where the configs read)')
    parser.add_argument('--splits', nargs='+', choices=['train', 'val'], default=['train', 'val'])
    parser.add_argument('--workers', type=int, metavar='N', default=min(8, available_cores()),
                        help='threads')
    parser.add_argument('--check-only', action='store_true', help='change nothing')
    return parser.parse_args(argv)


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    module, usual_root = DATASETS[args.dataset]
    root = Path(args.root or usual_root)
    from ._progress import show_progress
    module = importlib.import_module(f'mmxf.datasets.prepare.{module}')
    # A module that serves several data sets gives each its own function.
    prepare = module.preparer(args.dataset) if hasattr(module, 'preparer') else module.prepare
    try:
        if not args.check_only:
            root.mkdir(parents=True, exist_ok=True)
        report = prepare(root, tuple(args.splits), args.workers, args.check_only, show_progress)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(report.text())
    if report.missing:
        print(f'\n{args.dataset} in {root} is not ready: {len(report.missing)} missing.', file=sys.stderr)
        return 1
    print(f'\n{args.dataset} in {root} is ready.')
    return 0
