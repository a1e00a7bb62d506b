"""Latency, throughput and peak memory of models, side by side in one run."""

import argparse
import statistics
import sys

from ._errors import user_errors
from ._measure import MODES, Subject, peak_memory_in_child
from ._shares import time_shares

SUMMARY = 'Measure latency, images or poses a second and peak memory of one config or several, side by side'

EPILOG = (
    "forward: the network (mode='tensor'). inference: network and post-processing, from the preprocessed "
    'tensor to panoptic maps, or to poses averaged with those of the mirror image. '
    'train: forward, losses and backward, no optimiser step. Weights, images and '
    'targets are made up. Peak memory: on the CPU the resident set above that before the step, in a process '
    'of its own; on a GPU torch.cuda.max_memory_allocated. Example: benchmark '
    'configs/kmax/kmax_r50_coco.py mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py '
    '--shape 641 641 --threads 2'
)


def parse_args(argv=None) -> argparse.Namespace:
    from .get_flops import check_shape

    parser = argparse.ArgumentParser(
        description=SUMMARY,
        epilog=EPILOG,
    )
    parser.add_argument(
        'configs', nargs='+', metavar='CONFIG', help="config files, or 'mmdet::...' for mmdet's own"
    )
    parser.add_argument(
        '--data', action='store_true', help="time the steps of the training pipeline instead of the model, on one core"
    )
    parser.add_argument(
        '--split', choices=('train', 'val', 'test'), default='train', help='with --data: whose pipeline (default: train)'
    )
    parser.add_argument('--samples', type=int, default=50, help='with --data: how many (default: 50)')
    parser.add_argument('--mode', choices=('inference', 'forward', 'train', 'all'), default='inference')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=None,
        metavar=('H', 'W'),
        help="input size; one number is a square (default: the config's image_size)",
    )
    parser.add_argument('--batch', type=int, default=1, help='images, or windows of poses, a batch (default: 1)')
    parser.add_argument('--device', default=None, help="'cpu' or 'cuda' (default: a GPU if there is one)")
    parser.add_argument(
        '--dtype', choices=('float32', 'bfloat16'), default='float32', help='bfloat16 runs under autocast'
    )
    parser.add_argument(
        '--runs', type=int, default=5, help='timed runs a mode, after one warm-up (default: 5)'
    )
    parser.add_argument('--threads', type=int, default=None, help="CPU threads (default: torch's own choice)")
    parser.add_argument(
        '--no-memory', action='store_true', help='leave the memory out (it takes a process a row)'
    )
    parser.add_argument(
        '--share', action='store_true', help='also print how much of the time matrix products, convolutions and attention take'
    )
    parser.add_argument('--json', default=None, metavar='OUT', help='also write the numbers as JSON')
    parser.add_argument(
        '--cfg-options', nargs='+', default=None, metavar='KEY=VALUE', help='override values of all configs'
    )
    args = parser.parse_args(argv)
    args.shape = check_shape(parser, args.shape)
    if args.samples < 1:
        parser.error('--samples must be at least 1')
    if args.runs < 1 or args.batch < 1 or (args.threads is not None and args.threads < 1):
        parser.error('--runs, --batch and --threads must be at least 1')
    return args


def run(args, say=print) -> list[dict]:
    """Measure; one dict a (mode, config) with times in ms, memory in MB, or ``error``."""
    import torch

    from mmxf.config.overrides import parse_options

    if args.threads:
        torch.set_num_threads(args.threads)
    modes = MODES if args.mode == 'all' else (args.mode,)
    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    specs = [
        dict(
            config=str(config),
            shape=args.shape,
            batch=args.batch,
            device=device,
            dtype=args.dtype,
            options=parse_options(args.cfg_options),
        )
        for config in args.configs
    ]
    rows = []
    memory: dict[tuple[str, str], dict] = {}
    if (
        not args.no_memory
    ):  # first, while this process holds no model that would take memory from the children
        for mode in modes:
            for spec in specs:
                say(f'memory: {mode} of {spec["config"]}')
                try:
                    memory[mode, spec['config']] = peak_memory_in_child(spec, mode, args.threads)
                except RuntimeError as error:
                    memory[mode, spec['config']] = dict(memory_error=str(error))
    subjects = [Subject(spec, training='train' in modes) for spec in specs]
    for mode in modes:
        say(f'time: {mode}')
        seconds, errors = alternate(subjects, mode, args.runs)
        first = None
        for subject, times, error in zip(subjects, seconds, errors):
            config = subject.spec['config']
            row = dict(
                mode=mode,
                config=config,
                input=subject.input_shape,
                dtype=args.dtype,
                device=device,
                threads=torch.get_num_threads(),
                **memory.get((mode, config), {}),
            )
            if error:
                row['error'] = error
            else:
                row.update(
                    median_ms=1e3 * statistics.median(times),
                    min_ms=1e3 * min(times),
                    runs=len(times),
                )
                unit, count = subject.unit
                row[f'{unit}_per_second'] = count / statistics.median(times)
                if args.share:
                    row.update(time_shares(subject, mode))
                first = first or row
                row['ratio_time'] = row['median_ms'] / first['median_ms']
                if row.get('peak_mb') and first.get('peak_mb'):
                    row['ratio_memory'] = row['peak_mb'] / first['peak_mb']
            rows.append(row)
    return rows


def alternate(subjects, mode: str, runs: int) -> tuple[list[list[float]], list[str | None]]:
    """Times of each subject, taken in turns so that a busy moment of the machine hits all alike."""
    seconds: list[list[float]] = [[] for _ in subjects]
    errors: list[str | None] = [None] * len(subjects)
    for i in range(runs + 1):
        for j, subject in enumerate(subjects):
            if errors[j]:
                continue
            try:
                elapsed = subject.time(mode)
            except Exception as error:  # one model that cannot run must not hide the other's numbers
                errors[j] = f'{type(error).__name__}: {error}'.splitlines()[0]
                continue
            if i:
                seconds[j].append(elapsed)
    return seconds, errors


def table(rows: list[dict]) -> str:
    """The rows as text; ratios are to the first config."""
    from pathlib import Path

    units = sorted({key.removesuffix('_per_second') for row in rows for key in row if key.endswith('_per_second')})
    names = [Path(row['config'].split('::')[-1]).stem for row in rows]
    width = max(len('config'), *map(len, names)) + 2
    speed = ' or '.join(f'{unit}/s' for unit in units) or 'images/s'
    lines = [
        f'{"mode":<11}{"config":<{width}}{"input":<18}{"median ms":>10}{"min ms":>10}{speed:>10}'
        f'{"peak MB":>10}{"time x":>9}{"memory x":>10}'
    ]
    for row, name in zip(rows, names):
        head = f'{row["mode"]:<11}{name:<{width}}{"x".join(map(str, row["input"])):<18}'
        if 'error' in row:
            lines.append(f'{head}failed: {row["error"]}')
            continue
        peak = f'{row["peak_mb"]:.0f}' if 'peak_mb' in row else '-'
        ratio = f'{row["ratio_memory"]:.2f}' if 'ratio_memory' in row else '-'
        lines.append(
            f'{head}{row["median_ms"]:>10.1f}{row["min_ms"]:>10.1f}{_speed(row):>10.2f}{peak:>10}'
            f'{row["ratio_time"]:>9.2f}{ratio:>10}'
        )
        if 'shares' in row:
            lines.append('           time: ' + ', '.join(f'{kind} {100 * part:.0f} %' for kind, part in row['shares'].items())
                         + ' (' + ', '.join(f'{name} {100 * part:.1f} %' for name, part in row['rest'].items()) + ')')
        if 'memory_error' in row:
            lines.append(f'           memory was not measured: {row["memory_error"]}')
    return '\n'.join(lines)


def _speed(row: dict) -> float:
    return next(value for key, value in row.items() if key.endswith('_per_second'))


def benchmark_data(args) -> int:
    """The steps of each config's pipeline."""
    from mmxf.config.overrides import parse_options

    from ._measure_data import measure_pipeline
    from ._measure_data import table as data_table

    results = {}
    for config in args.configs:
        results[config] = measure_pipeline(config, args.split, args.samples, parse_options(args.cfg_options))
        print(f'{config}, {args.split}, {results[config]["samples"]} samples, one core\n{data_table(results[config])}')
    if args.json:
        import json
        from pathlib import Path

        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(results, indent=1))
        print(f'numbers: {args.json}')
    return 0


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._outputs import check_file

    check_file(args.json, '--json')
    if args.data:
        return benchmark_data(args)
    rows = run(args, say=lambda text: print(text, file=sys.stderr))
    import torch

    where = (
        torch.cuda.get_device_name()
        if rows[0]['device'].startswith('cuda')
        else f'{rows[0]["threads"]} CPU threads'
    )
    print(
        f'torch {torch.__version__}, {where}, {args.dtype}, batch {args.batch}, {args.runs} runs in turns; '
        'ratios are to the first config'
    )
    print(table(rows))
    if args.json:
        import json
        from pathlib import Path

        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(
            json.dumps(dict(torch=torch.__version__, where=where, rows=rows), indent=1)
        )
        print(f'numbers: {args.json}')
    return 0 if all('error' not in row for row in rows) else 1
