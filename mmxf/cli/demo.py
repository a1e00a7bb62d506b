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
    parser.add_argument('--batch-size', type=int, default=1, help='images a forward pass (default: 1)')
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
    files = sorted(p for p in path.rglob('*') if p.suffix.lower() in IMAGES)
    if not files:
        raise UserError(f'{path} holds no images ({" ".join(IMAGES)})')
    return files, False


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    path = Path(args.input)
    files, video = find_inputs(path)
    import torch

    from mmxf.apis import init_model
    from mmxf.apis.synthetic import is_classifier
    from mmxf.config.overrides import parse_options
    from mmxf.engine.allocator import keep_freed_memory

    device = args.device or ('cuda' if torch.cuda.is_available() else 'cpu')
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
    if path.suffix.lower() in KEYPOINTS or hasattr(model, 'skeleton'):
        return run_keypoints(model, path, out_dir, args)
    if is_classifier(model):
        from ._classes import name_classes, run_classification

        name_classes(model)
        if not video:
            return run_classification(model, files, path if path.is_dir() else path.parent, out_dir, args)
    check_classes(model)
    if video:
        return run_video(model, path, out_dir, args)
    return run_images(model, files, path if path.is_dir() else path.parent, out_dir, args)


def check_classes(model) -> None:
    from mmxf.config import UserError

    if not model.dataset_meta.get('classes'):
        raise UserError(
            f'{model.cfg.filename} names no classes: its data set needs metainfo with classes and a palette'
        )


def run_images(model, files: list[Path], root: Path, out_dir: Path, args) -> int:
    from mmxf.apis import ImageError
    from mmxf.apis.inference import inference, read_image
    from mmxf.visualization import write_image

    written, bad, started = [], [], time.time()
    for start in range(0, len(files), args.batch_size):
        batch = []
        for file in files[start : start + args.batch_size]:
            try:
                batch.append((file, read_image(file)))
            except ImageError as error:
                bad.append(file)
                print(f'skipped: {error}', file=sys.stderr)
        samples = inference(model, [image for _, image in batch], args.batch_size) if batch else []
        for (file, image), sample in zip(batch, samples):
            out = out_dir / file.relative_to(root).with_suffix('.png')
            if out.resolve() == file.resolve():
                out = out.with_name(f'{out.stem}_panoptic.png')
            write_image(out, draw(model, image, sample, args))
            written.append(out)
            left = (time.time() - started) / len(written) * (len(files) - len(written) - len(bad))
            print(
                f'[{len(written) + len(bad)}/{len(files)}] {out}'
                + (f'   ({left:.0f} s left)' if left > 10 else '')
            )
    print(
        f'{len(written)} pictures in {out_dir}'
        + (
            f'; {len(bad)} of {len(files)} files could not be read: {", ".join(map(str, bad[:10]))}'
            if bad
            else ''
        )
    )
    return 0 if written else 1


def draw(model, image, sample, args):
    """RGB picture of a BGR image and its prediction."""
    from mmxf.config import UserError
    from mmxf.visualization import draw_panoptic, side_by_side

    if 'pred_scores' in sample:
        from mmxf.visualization.classes import draw_classes

        from ._classes import ranked

        return draw_classes(image[..., ::-1], ranked(sample, model.dataset_meta['classes'], args.topk))
    if 'pred_panoptic_seg' not in sample:
        raise UserError(
            f'{model.cfg.filename}: this model predicts no panoptic segments; its predictions have '
            f'{", ".join(sample.keys())}'
        )
    meta, rgb = model.dataset_meta, image[..., ::-1]
    picture = draw_panoptic(
        rgb,
        sample.pred_panoptic_seg.sem_seg,
        meta['classes'],
        meta.get('palette'),
        thing_classes=meta.get('thing_classes'),
        alpha=args.alpha,
        labels=not args.no_labels,
    )
    return (
        side_by_side([('image', fit(rgb, picture)), ('prediction', picture)])
        if args.side_by_side
        else picture
    )


def run_keypoints(model, path: Path, out_dir: Path, args) -> int:
    """Lifts 2-D joints; writes them as 3-D joints and an animation."""
    import numpy as np

    from mmxf.apis.lifting import lift, read_keypoints
    from mmxf.config import UserError
    from mmxf.visualization.pose import pose_frames, write_animation

    if not hasattr(model, 'skeleton'):
        raise UserError(f'{path} holds 2-D joints, but the model of {args.config} takes images')
    if path.suffix.lower() not in KEYPOINTS:
        raise UserError(f'{path}: the model of {args.config} lifts 2-D joints; give a .npz or a COCO-style .json of them')
    sequence = read_keypoints(path, model.skeleton.joints, tuple(args.image_size) if args.image_size else None)
    poses = lift(model, sequence)
    out_dir.mkdir(parents=True, exist_ok=True)
    result = out_dir / f'{path.stem}_3d.npz'
    np.savez_compressed(result, **{f'person_{i}': pose for i, pose in enumerate(poses)}, fps=sequence.fps,
                        joints=np.array(model.skeleton.joints))
    step = max(1, round(sequence.fps / 25))
    frames = pose_frames(sequence.people, poses, model.skeleton, sequence.width, sequence.height, step=step)
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

    from mmxf.apis import inference
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
    writer, frames, started, said = None, 0, time.time(), time.time()
    try:
        while True:
            ok, frame = capture.read()
            if not ok:
                break
            picture = draw(model, frame, inference(model, frame), args)[..., ::-1]
            # Encoders want even sizes.
            picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
            if writer is None:
                size = (picture.shape[1], picture.shape[0])
                writer = cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*'mp4v'), rate, size)
                if not writer.isOpened():
                    raise UserError(f'OpenCV cannot write {out}: this build has no mp4 encoder')
            writer.write(picture.copy())
            frames += 1
            if time.time() - said > 5:
                said = time.time()
                left = (said - started) / frames * max(0, total - frames)
                print(f'[{frames}/{total or "?"}] frames' + (f', {left:.0f} s left' if total else ''))
    finally:
        capture.release()
        if writer is not None:
            writer.release()
    if not frames:
        raise UserError(f'{path} holds no frame that can be decoded')
    if frames < total:
        print(f'{path}: {total - frames} of {total} frames could not be decoded', file=sys.stderr)
    print(f'{frames} frames in {out}')
    return 0
