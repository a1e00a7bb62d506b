"""Draw curves of losses and metrics from the logs of one run or several."""

import argparse
from pathlib import Path

from ._errors import user_errors

SUMMARY = 'Draw loss and metric curves of runs, and print their last values'


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=SUMMARY)
    parser.add_argument(
        'logs', nargs='+', metavar='LOG', help='vis_data/scalars.json of a run, or the folder of a run'
    )
    parser.add_argument(
        '--keys', nargs='+', default=None,
        help='scalars to draw, one panel each (default: loss, lr, metric, memory, data time, as far as they are there)'
    )
    parser.add_argument(
        '--names', nargs='+', default=None, help='a name for each log (default: from its path)'
    )
    parser.add_argument('--title', default='', help='a line over the panels')
    parser.add_argument(
        '--out', default=None, help='picture to write; .png, .svg or .pdf (default: curve.png)'
    )
    args = parser.parse_args(argv)
    if args.names and len(args.names) != len(args.logs):
        parser.error(f'{len(args.names)} --names for {len(args.logs)} logs')
    return args


def run_name(path: str) -> str:
    """work_dirs/NAME/TIME/vis_data/scalars.json -> NAME."""
    parts = [p for p in Path(path).resolve().parts if p not in ('vis_data', 'scalars.json')]
    if parts and parts[-1].replace('_', '').isdigit() and len(parts) > 1:
        return parts[-2]
    return parts[-1] if parts else path


# The first of each line that a run has is a panel. A metric comes before others of its kind.
USUAL = (
    ('loss',),
    ('val/loss',),
    ('lr', 'base_lr'),
    ('panoptic/PQ', 'coco/segm_mAP', 'coco/bbox_mAP', 'semantic/mIoU', 'mIoU', 'accuracy/top1', 'MPJPE'),
    ('memory',),
    ('data_time',),
)


def usual_keys(names: set[str]) -> list[str]:
    """What is drawn without a wish: losses, learning rate, a metric, memory, data time, as far as a run has them."""
    found = []
    for choices in USUAL:
        key = next((key for key in choices if key in names), None)
        if key is None and len(choices) > 2:
            # A metric is called group/name, and no loss.
            rest = sorted(name for name in names if '/' in name and 'loss' not in name)
            key = rest[0] if rest else None
        found += [key] if key else []
    return found or sorted(names)[:1]


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._outputs import check_file

    check_file(args.out or 'curve.png', '--out')
    from mmxf.config import UserError
    from mmxf.visualization.curves import available_keys, plot_curves, read_scalars, series

    try:
        runs: dict = {}
        for path, name in zip(args.logs, args.names or [run_name(log) for log in args.logs]):
            runs[name if name not in runs else str(path)] = read_scalars(path)
        names = {key for rows in runs.values() for key in available_keys(rows)}
        keys = args.keys or usual_keys(names)
        out = plot_curves(runs, keys, args.out or 'curve.png', args.title)
    except (ValueError, KeyError) as error:
        raise UserError(error.args[0]) from None
    for name, rows in runs.items():
        print(f'{name}: {rows[-1]["step"]} iterations')
        for key in keys:
            try:
                steps, values = series(rows, key)
            except KeyError:
                print(f'  {key:<24} not in this log')
                continue
            best = f'   lowest {min(values):.4g}, highest {max(values):.4g}' if len(values) > 1 else ''
            print(f'  {key:<24} {values[-1]:.4g} at {steps[-1]}{best}')
    print(f'curve: {out}')
    return 0
