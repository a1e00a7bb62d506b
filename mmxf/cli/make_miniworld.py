"""Write the built-in MiniWorld as a data set in the official COCO panoptic and instances formats."""

import argparse
import sys
import time

from mmxf.cores import available_cores

SUMMARY = 'Render the built-in MiniWorld and write it as COCO panoptic and instances data'


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='make_miniworld',
        description=SUMMARY,
        epilog='The same arguments write the same files. A set that is already there is left alone.',
    )
    parser.add_argument(
        '--root',
        help='folder to write to (default: data/miniworld; with --people data/miniworld_people, with --depth ..._depth)',
    )
    parser.add_argument(
        '--people',
        action='store_true',
        help='instead of images: moving people as 2-D and 3-D joints, in the files of Human3.6M for lifting',
    )
    parser.add_argument(
        '--depth',
        action='store_true',
        help="instead of segments: panoramas with exact depth, in Stanford2D3D's files",
    )
    parser.add_argument('--frames', type=int, default=400, help='with --people: of each take (default: %(default)s)')
    parser.add_argument('--train', type=int, default=600, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=60, help='validation images (default: %(default)s)')
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help='pixels (default: 128 128, panoramas 256 128)',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--camera', choices=('perspective', 'equirectangular'), default='perspective')
    parser.add_argument(
        '--style', choices=('room', 'ground'), help='only rooms or only open ground (default: both)'
    )
    parser.add_argument(
        '--frames-per-scene',
        type=int,
        default=1,
        metavar='N',
        help='N successive frames, 0.1 s apart, of moving scenes instead of still pictures',
    )
    parser.add_argument('--no-antialias', action='store_true', help='jagged edges, in half the time')
    parser.add_argument('--workers', type=int, help='processes (default: one a CPU core)')
    parser.add_argument(
        '--force', action='store_true', help='replace a MiniWorld written with other arguments'
    )
    args = parser.parse_args(argv)
    kind = '_people' if args.people else '_depth' if args.depth else ''
    args.root = args.root or f'data/miniworld{kind}'
    return args


class Progress:
    """A line with count, rate and time left: in place on a terminal, else every five seconds."""

    def __init__(self, what: str = 'images'):
        self.what = what
        self.start = self.last = time.monotonic()
        self.live = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self.last < (0.2 if self.live else 5) and done < total:
            return
        self.last = now
        rate = done / max(now - self.start, 1e-6)
        line = f'{done}/{total} {self.what}, {rate:.1f} {self.what}/s, {(total - done) / rate:.0f} s left'
        print(
            f'\r{line}   ' if self.live else line,
            end='' if self.live and done < total else '\n',
            file=sys.stderr,
            flush=True,
        )


def main(argv=None) -> int:
    args = parse_args(argv)
    if args.people:
        return make_people(args)
    if args.depth:
        return make_depth(args)
    from mmxf.datasets.miniworld.writers import ExistingDataError, Request, write_dataset

    width, height = args.size or ((128, 128) if args.camera == 'perspective' else (256, 128))
    start = time.monotonic()
    try:
        request = Request(
            args.train,
            args.val,
            width,
            height,
            args.seed,
            args.camera,
            args.style,
            args.frames_per_scene,
            not args.no_antialias,
        )
        workers = available_cores() if args.workers is None else args.workers
        written = write_dataset(args.root, request, workers, args.force, Progress())
    except (ValueError, ExistingDataError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except OSError as error:
        print(f'error: {error}. Nothing half-written is left in {args.root}.', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f'\ninterrupted; nothing half-written is left in {args.root}', file=sys.stderr)
        return 130
    if written:
        print(
            f'{args.train} training and {args.val} validation images of {width} x {height} written to '
            f'{args.root} in {time.monotonic() - start:.1f} s'
        )
    else:
        print(f'{args.root} already holds this set: nothing to do')
    return 0


def make_depth(args) -> int:
    from mmxf.datasets.miniworld.depth import DepthRequest, write_depth_panoramas
    from mmxf.datasets.miniworld.writers import ExistingDataError

    width, height = args.size or (256, 128)
    start = time.monotonic()
    try:
        request = DepthRequest(args.train, args.val, width, height, args.seed, args.style or 'room')
        workers = available_cores() if args.workers is None else args.workers
        written = write_depth_panoramas(args.root, request, workers, args.force, Progress())
    except (ValueError, ExistingDataError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(
        f'{args.train} training and {args.val} test panoramas of {width} x {height} with depth written to {args.root} in '
        f'{time.monotonic() - start:.1f} s'
        if written
        else f'{args.root} already holds this set: nothing to do'
    )
    return 0


def make_people(args) -> int:
    from mmxf.datasets.miniworld.motion import write_people

    try:
        files = write_people(args.root, args.frames, seed=args.seed, progress=Progress('takes'))
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print('written: ' + ', '.join(map(str, files)))
    return 0
