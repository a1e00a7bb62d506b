"""Segment or classify pictures, folders of pictures and videos, or lift 2-D poses, and draw what was found."""

import argparse
import sys
import time
from pathlib import Path

from ._errors import user_errors

SUMMARY = 'Segment or classify an image, a folder of images or a video, or lift 2-D poses, and draw the result'
IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
KEYPOINTS = ('.npz', '.json')
VIDEOS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=SUMMARY)
    parser.add_argument(
        'input',
        metavar='IMAGE|DIR|VIDEO|KEYPOINTS',
        help='an image, a folder (searched through), a video; for a model that lifts poses a .npz or COCO-style .json of 2-D '
        'joints',
    )
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint file')
    parser.add_argument('--out-dir', default='outputs', help='folder of the results (default: outputs)')
    parser.add_argument(
        '--device', default=None, help="'cpu', 'cuda', 'cuda:1' (default: a GPU if there is one)"
    )
    parser.add_argument(
        '--batch-size', type=int, default=None, help='images a forward pass (default: 8 on a GPU, else 1)'
    )
    parser.add_argument(
        '--workers', type=int, default=2, help='threads that read images ahead, and as many that draw (default: 2)'
    )
    parser.add_argument(
        '--score', type=float, default=0.3, help='least score of instances that are drawn (default: 0.3)'
    )
    parser.add_argument('--side-by-side', action='store_true', help='draw the image next to the result')
    parser.add_argument('--no-labels', action='store_true', help='do not write class names into the picture')
    parser.add_argument(
        '--alpha', type=float, default=0.58, help='opacity of the colours, 0-1 (default: 0.58)'
    )
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        metavar=('WIDTH', 'HEIGHT'),
        help='of the image that 2-D joints belong to, where their file does not tell',
    )
    parser.add_argument('--true-depth', metavar='FILE', help='depth: true depth of the image, to draw errors')
    parser.add_argument(
        '--depth-scale', type=float, metavar='N', help='of --true-depth: units a metre (1000 for millimetres)'
    )
    parser.add_argument(
        '--intrinsics',
        type=float,
        nargs=4,
        metavar=('FX', 'FY', 'CX', 'CY'),
        help='of a perspective image at the size of the prediction, pixels: depth models then write a point cloud',
    )
    parser.add_argument('--topk', type=int, default=5, help='classifiers: classes to name (default: 5)')
    parser.add_argument('--mp4', action='store_true', help='poses: write an .mp4 instead of a .gif')
    parser.add_argument(
        '--trust-pickle',
        '--allow-pickle',
        dest='allow_pickle',
        action='store_true',
        help='load a checkpoint that may run code of whoever made it; only for files that you trust',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=None, metavar='KEY=VALUE', help='override config values'
    )
    return parser.parse_args(argv)


def find_inputs(path: Path) -> tuple[list[Path], bool]:
    """Files to work on and whether they are one video. Raises UserError where there is nothing to do."""
    from mmxf.config import UserError

    if not path.exists():
        raise UserError(f'{path} does not exist; give an image, a folder of images or a video')
    if path.is_file():
        return [path], path.suffix.lower() in VIDEOS
    found = sorted(path.rglob('*'))
    files = [p for p in found if p.suffix.lower() in IMAGES] or [p for p in found if p.suffix.lower() in KEYPOINTS]
    if not files:
        raise UserError(f'{path} holds no images ({" ".join(IMAGES)}), and no 2-D joints ({" ".join(KEYPOINTS)})')
    return files, False


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._outputs import check_folder

    check_folder(args.out_dir, '--out-dir')
    path = Path(args.input)
    files, video = find_inputs(path)
    import torch

    from mmxf.allocator import keep_freed_memory
    from mmxf.apis import init_model
    from mmxf.apis.synthetic import is_classifier
    from mmxf.apis.synthetic_depth import is_depth_model
    from mmxf.config import UserError
    from mmxf.config.overrides import parse_options

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
    if args.batch_size is None:
        args.batch_size = 8 if device.startswith('cuda') else 1
    if args.batch_size < 1 or args.workers < 1:
        raise UserError(f'--batch-size and --workers must be at least 1, got {args.batch_size} and {args.workers}')
    if device == 'cpu':
        keep_freed_memory()
    model = init_model(
        args.config,
        args.checkpoint,
        device=device,
        cfg_options=parse_options(args.cfg_options),
        allow_pickle=args.allow_pickle,
    )
    out_dir = Path(args.out_dir)
    if files[0].suffix.lower() in KEYPOINTS or hasattr(model, 'skeleton'):
        return max(run_keypoints(model, file, out_dir, args) for file in files)
    if is_classifier(model):
        from ._classes import name_classes, run_classification

        name_classes(model)
        if not video:
            return run_classification(model, files, path if path.is_dir() else path.parent, out_dir, args)
    if is_depth_model(model) and not video:
        from ._depth import run_depth

        return run_depth(model, files, path if path.is_dir() else path.parent, out_dir, args)
    check_classes(model)
    if video:
        return run_video(model, path, out_dir, args)
    return run_images(model, files, path if path.is_dir() else path.parent, out_dir, args)


def check_classes(model) -> None:
    from mmxf.config import UserError

    if not model.dataset_meta.get('classes') and 'Depth' not in type(model).__name__:
        raise UserError(
            f'{model.cfg.filename} names no classes: its data set needs metainfo with classes and a palette'
        )


def run_images(model, files: list[Path], root: Path, out_dir: Path, args) -> int:
    from mmxf.apis.streaming import Speed, Writers, predict_stream
    from mmxf.visualization import write_image

    bad, speed, progress = [], Speed(), _Progress(len(files))

    def write(file: Path, image, sample) -> Path:
        out = out_dir / file.relative_to(root).with_suffix('.png')
        if out.resolve() == file.resolve():
            out = out.with_name(f'{out.stem}_{_kind(sample)}.png')
        return write_image(out, draw(model, image, sample, args))

    with Writers(args.workers) as writers:
        for found in predict_stream(model, ((file, file) for file in files), args.batch_size, args.workers, speed=speed):
            if found.error is not None:
                bad.append(found.key)
                progress.skip()
                print(f'skipped: {found.error}', file=sys.stderr)
                continue
            check_drawable(model, found.sample)
            for out in writers.put(write, found.key, found.image, found.sample):
                progress.say(out, speed)
        for out in writers.rest():
            progress.say(out, speed)
    print(
        f'{progress.done} pictures in {out_dir}'
        + (
            f'; {len(bad)} of {len(files)} files could not be read: {", ".join(map(str, bad[:10]))}'
            if bad
            else ''
        )
    )
    if progress.done:
        print(f'{speed.text()}; {progress.rate():.1f} with drawing and writing')
    return 0 if progress.done else 1


class _Progress:
    """A line for each result, with images per second and the time left."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.skipped, self.started = total, 0, 0, time.time()

    def skip(self) -> None:
        self.skipped += 1

    def rate(self) -> float:
        return self.done / max(time.time() - self.started, 1e-6)

    def say(self, out: Path, speed) -> None:
        self.done += 1
        left = (self.total - self.done - self.skipped) / self.rate()
        print(
            f'[{self.done + self.skipped}/{self.total}] {out}'
            + (f'   {self.rate():.1f} images/s, {left:.0f} s left' if left > 10 else '')
        )


def _kind(sample) -> str:
    """What a result is called, where it would take the image's own name."""
    return 'panoptic' if 'pred_panoptic_seg' in sample else 'prediction'


def check_drawable(model, sample) -> None:
    from mmxf.config import UserError
    from mmxf.visualization.prediction import can_draw

    if not can_draw(sample):
        raise UserError(
            f'{model.cfg.filename}: this model predicts nothing that can be drawn; its predictions have '
            f'{", ".join(sample.keys())}'
        )


def draw(model, image, sample, args):
    """RGB picture of a BGR image and its prediction."""
    from mmxf.visualization import side_by_side
    from mmxf.visualization.prediction import draw_prediction

    rgb = image[..., ::-1]
    picture = draw_prediction(
        rgb, sample, model.dataset_meta, alpha=args.alpha, labels=not args.no_labels, min_score=args.score
    )
    return (
        side_by_side([('image', fit(rgb, picture)), ('prediction', picture)])
        if args.side_by_side
        else picture
    )


def run_keypoints(model, path: Path, out_dir: Path, args) -> int:
    """Lifts 2-D joints; writes them as 3-D joints and an animation."""
    import warnings

    import numpy as np

    from mmxf.apis.lifting import lift, read_keypoints
    from mmxf.config import UserError
    from mmxf.visualization.pose import pose_frames, write_animation

    if not hasattr(model, 'skeleton'):
        raise UserError(f'{path} holds 2-D joints, but the model of {args.config} takes images')
    if path.suffix.lower() not in KEYPOINTS:
        raise UserError(f'{path}: the model of {args.config} lifts 2-D joints; give a .npz or a COCO-style .json of them')
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter('always', UserWarning)
        sequence = read_keypoints(path, model.skeleton.joints, tuple(args.image_size) if args.image_size else None)
    for note in notes:
        print(f'warning: {note.message}', file=sys.stderr)
    poses = lift(model, sequence)
    out_dir.mkdir(parents=True, exist_ok=True)
    result = out_dir / f'{path.stem}_3d.npz'
    np.savez_compressed(result, **{f'person_{i}': pose for i, pose in enumerate(poses)},
                        **{f'frames_{i}': frames for i, frames in enumerate(sequence.frames)}, fps=sequence.fps,
                        joints=np.array(model.skeleton.joints))
    step = max(1, round(sequence.fps / 25))
    frames = pose_frames(sequence.people, poses, model.skeleton, sequence.width, sequence.height, step=step,
                         times=sequence.frames)
    film = out_dir / f'{path.stem}_3d.{"mp4" if args.mp4 else "gif"}'
    count = write_animation(film, frames, sequence.fps / step)
    print(f'{len(poses)} people, {sum(map(len, poses))} poses in metres: {result}')
    print(f'{count} pictures: {film}')
    return 0


def fit(image, other):
    """``image`` at the size of ``other``, which may have been enlarged."""
    import cv2

    return cv2.resize(image, (other.shape[1], other.shape[0]), interpolation=cv2.INTER_CUBIC)


def run_video(model, path: Path, out_dir: Path, args) -> int:
    import cv2

    from mmxf.apis.streaming import Speed, Writers, predict_stream
    from mmxf.config import UserError

    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise UserError(f'{path} is not a video that OpenCV can read, or is corrupt')
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    out_dir.mkdir(parents=True, exist_ok=True)
    out = out_dir / f'{path.stem}.mp4'
    if out.resolve() == path.resolve():
        out = out_dir / f'{path.stem}_panoptic.mp4'
    film, speed = _Film(out, rate, total), Speed()

    def frames():
        number = 0
        while (read := capture.read())[0]:
            yield number, read[1]
            number += 1

    def picture(image, sample):
        found = draw(model, image, sample, args)[..., ::-1]
        # Encoders want even sizes.
        return found[: found.shape[0] // 2 * 2, : found.shape[1] // 2 * 2].copy()

    try:
        with Writers(args.workers) as writers:
            for found in predict_stream(model, frames(), args.batch_size, args.workers, speed=speed):
                check_drawable(model, found.sample)
                for drawn in writers.put(picture, found.image, found.sample):
                    film.write(drawn, speed)
            for drawn in writers.rest():
                film.write(drawn, speed)
    finally:
        capture.release()
        film.close()
    if not film.frames:
        raise UserError(f'{path} holds no frame that can be decoded')
    if film.frames < total:
        print(f'{path}: {total - film.frames} of {total} frames could not be decoded', file=sys.stderr)
    print(f'{film.frames} frames in {out}')
    print(f'{speed.text()}; {film.frames / max(time.time() - film.started, 1e-6):.1f} with drawing and writing')
    return 0


class _Film:
    """An .mp4 that begins with its first picture, and says how far it is."""

    def __init__(self, path: Path, rate: float, total: int) -> None:
        self.path, self.rate, self.total = path, rate, total
        self.writer, self.frames, self.started, self.said = None, 0, time.time(), time.time()

    def write(self, picture, speed) -> None:
        import cv2

        from mmxf.config import UserError

        if self.writer is None:
            size = (picture.shape[1], picture.shape[0])
            self.writer = cv2.VideoWriter(str(self.path), cv2.VideoWriter_fourcc(*'mp4v'), self.rate, size)
            if not self.writer.isOpened():
                raise UserError(f'OpenCV cannot write {self.path}: this build has no mp4 encoder')
        self.writer.write(picture)
        self.frames += 1
        if time.time() - self.said > 5:
            self.said = time.time()
            rate = self.frames / (self.said - self.started)
            left = max(0, self.total - self.frames) / rate
            print(
                f'[{self.frames}/{self.total or "?"}] {rate:.1f} images/s'
                + (f', {left:.0f} s left' if self.total else '')
            )

    def close(self) -> None:
        if self.writer is not None:
            self.writer.release()
