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
        '--keys', nargs='+', default=None, help='scalars to draw, one panel each (default: loss panoptic/PQ)'
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


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from mmxf.config import UserError
    from mmxf.visualization.curves import available_keys, plot_curves, read_scalars, series

    try:
        runs: dict = {}
        for path, name in zip(args.logs, args.names or [run_name(log) for log in args.logs]):
            runs[name if name not in runs else str(path)] = read_scalars(path)
        names = {key for rows in runs.values() for key in available_keys(rows)}
        # Without a wish: what of the usual two is there; a run that was never validated has no PQ.
        keys = args.keys or [key for key in ('loss', 'panoptic/PQ') if key in names] or sorted(names)[:1]
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
