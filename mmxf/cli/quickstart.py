"""``mmxf quickstart``: from nothing to a trained panoptic model, its score and pictures, on MiniWorld."""
import argparse
import json
import time
from pathlib import Path

from ._errors import user_errors

SUMMARY = 'Write MiniWorld, train kMaX-DeepLab on it, test it, and show what came out'
DONE = 'summary.json'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=SUMMARY + '. Run again, it resumes, or says that it is done.')
    parser.add_argument('--config', default='mmxf::kmax/kmax_r18_mini.py', help='what to train (default: %(default)s)')
    parser.add_argument('--work-dir', default='work_dirs/quickstart', help='where everything goes (default: %(default)s)')
    parser.add_argument('--data', default='data/miniworld', help='where MiniWorld is written (default: %(default)s)')
    parser.add_argument('--train', type=int, default=600, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=60, help='held-out images (default: %(default)s)')
    parser.add_argument('--seconds-install', type=float, default=None, help='what the installation took, for the summary')
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config')
    return parser.parse_args(argv)


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    work_dir, clock = Path(args.work_dir), _Clock(Path(args.work_dir) / 'quickstart_times.json')
    if (work_dir / DONE).is_file():
        print(f'Done before; delete {work_dir} to start anew.')
        show(work_dir)
        return 0
    if args.seconds_install is not None:
        clock.add('install', args.seconds_install)
    from . import make_miniworld, test, train

    def step(number: int, title: str, command, arguments: list[str]) -> None:
        print(f'\n[{number}/4] {title}', flush=True)
        with clock.timing(title.split()[0].lower()):
            status = command.main(arguments)
        if status:
            raise SystemExit(status)

    options = ['--cfg-options', f'data_root={args.data.rstrip("/")}/', *args.cfg_options]
    step(1, 'Data: rendering MiniWorld', make_miniworld, [
        '--root', args.data, '--train', str(args.train), '--val', str(args.val), '--size', '128', '128'])
    resume = ['--resume'] if list(work_dir.glob('iter_*.pth')) else []
    step(2, 'Training' + (' goes on' if resume else ''), train, [
        args.config, '--work-dir', str(work_dir), *resume, *options])
    checkpoint = max(work_dir.glob('iter_*.pth'), key=lambda path: int(path.stem.split('_')[1]))
    step(3, 'Testing', test, [args.config, str(checkpoint), '--work-dir', str(work_dir / 'test'), '--show-dir',
                              str(work_dir / 'pictures'), '--out', str(work_dir / 'test.json'), *options])
    print('\n[4/4] Curve and summary', flush=True)
    summarise(work_dir, clock)
    show(work_dir)
    return 0


def summarise(work_dir: Path, clock: '_Clock') -> None:
    """Draws the curve and writes summary.json."""
    from mmxf.engine.atomic_files import write_atomically
    from mmxf.visualization.curves import plot_curves, read_scalars

    curve = plot_curves({'kMaX-DeepLab on MiniWorld': read_scalars(work_dir)}, ['loss', 'panoptic/PQ'],
                        work_dir / 'curve.png', '')
    metrics = json.loads((work_dir / 'test.json').read_text())
    pictures = sorted(str(path) for path in (work_dir / 'pictures').rglob('*') if path.suffix in ('.png', '.jpg'))
    summary = dict(
        PQ=metrics['panoptic/PQ'], PQ_things=metrics['panoptic/PQ_th'], PQ_stuff=metrics['panoptic/PQ_st'],
        seconds_install=clock.seconds('install'), seconds_data=clock.seconds('data:'),
        seconds_train=clock.seconds('training'), seconds_test=clock.seconds('testing'),
        images=pictures, curve=str(curve))
    write_atomically(work_dir / DONE, json.dumps(summary, indent=2).encode())


def show(work_dir: Path) -> None:
    """Prints the score, the times and where the pictures are."""
    summary = json.loads((work_dir / DONE).read_text())
    print(f'\nPQ on held-out images  all {summary["PQ"]:.1f}   things {summary["PQ_things"]:.1f}   '
          f'stuff {summary["PQ_stuff"]:.1f}')
    print('Seconds                ' + '   '.join(f'{key.removeprefix("seconds_")} {value:.0f}'
                                                for key, value in summary.items()
                                                if key.startswith('seconds_') and value is not None))
    print('Pictures               image | ground truth | prediction')
    for path in summary['images'][:6]:
        print(f'                       {path}')
    print(f'Curve                  {summary["curve"]}')
    print(f'Summary                {work_dir / DONE}')


class _Clock:
    """Seconds of each step, kept in a file, so that a run in several pieces adds them up."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _read(self) -> dict:
        try:
            return json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}

    def seconds(self, name: str) -> float | None:
        return self._read().get(name)

    def add(self, name: str, seconds: float) -> None:
        times = self._read()
        times[name] = round(times.get(name, 0) + seconds, 1)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(times))

    def timing(self, name: str):
        clock, start = self, time.perf_counter()

        class Timing:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                clock.add(name, time.perf_counter() - start)

        return Timing()
