"""Look at what a data set's pipeline yields: the picture after augmentation under its targets."""

import argparse
import sys
from pathlib import Path

from ._errors import user_errors

SUMMARY = "Draw the samples that a config's data pipeline yields, after augmentation"


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=SUMMARY)
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('--split', choices=('train', 'val', 'test'), default='train')
    parser.add_argument(
        '--out-dir',
        '--output-dir',
        default=None,
        help='folder of the pictures (default: work_dirs/browse/CONFIG/SPLIT when no window is shown)',
    )
    parser.add_argument('--number', '-n', type=int, default=10, help='samples to draw; 0 = all (default: 10)')
    parser.add_argument(
        '--not-show', action='store_true', help='open no window (there is none without a display)'
    )
    parser.add_argument(
        '--show-interval', type=float, default=2, help='seconds a picture is shown (default: 2)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentation (default: 0)')
    parser.add_argument(
        '--cfg-options', nargs='+', default=None, metavar='KEY=VALUE', help='override config values'
    )
    return parser.parse_args(argv)


def has_display() -> bool:
    import os

    return sys.platform in ('darwin', 'win32') or bool(
        os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')
    )


def draw_sample(sample: dict, meta: dict):
    """RGB sheet of one packed sample: picture, and its targets over it where it has any."""
    from mmxf.visualization import panoptic_sheet, sample_panoptic

    image = sample['inputs'].permute(1, 2, 0).clamp(0, 255).byte().numpy()[..., ::-1].copy()
    data = sample['data_samples']
    if 'real_pixel_mask' in data:
        # Padding gets a plain tint, so that one sees what the loss never will.
        image[~data.real_pixel_mask.data.reshape(image.shape[:2]).bool().numpy()] = (228, 228, 232)
    classes = list(meta['classes'])
    targets = sample_panoptic(data, len(classes), image.shape[:2])
    name = Path(str(data.get('img_path') or data.get('img_id') or 'sample')).name
    title = f'{name}   {image.shape[1]} x {image.shape[0]}' + ('   flipped' if data.get('flip') else '')
    maps = [('targets', targets)] if targets is not None else []
    return panoptic_sheet(
        image, maps, classes, meta.get('palette'), thing_classes=meta.get('thing_classes'), title=title
    )


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._outputs import check_folder

    check_folder(args.out_dir, '--out-dir')
    import numpy as np
    import torch

    from mmxf.apis import dataset_meta, open_config
    from mmxf.apis.datasets import build_dataset
    from mmxf.config import UserError
    from mmxf.config.overrides import parse_options
    from mmxf.visualization import write_image

    cfg = open_config(args.config, parse_options(args.cfg_options))
    try:
        dataset = build_dataset(cfg, args.split)
    except (FileNotFoundError, ValueError) as error:
        raise UserError(str(error)) from None
    meta = dict(getattr(dataset, 'metainfo', None) or dataset_meta(cfg))
    if not meta.get('classes'):
        raise UserError(f'{args.config}: the {args.split} data set names no classes in its metainfo')
    show = not args.not_show and has_display()
    out_dir = Path(args.out_dir) if args.out_dir else None
    if out_dir is None and not show:
        out_dir = Path('work_dirs/browse') / Path(args.config).stem / args.split
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    import random

    random.seed(args.seed)
    count = len(dataset) if args.number <= 0 else min(args.number, len(dataset))
    failed = 0
    for i in range(count):
        try:
            picture = draw_sample(dataset[i], meta)
        except (OSError, ValueError, AssertionError) as error:
            failed += 1
            print(f'sample {i}: {error}', file=sys.stderr)
            continue
        if out_dir is not None:
            print(f'[{i + 1}/{count}] {write_image(out_dir / f"{args.split}_{i:05d}.png", picture)}')
        if show:
            show = show_window(picture, args.show_interval)
    where = f' in {out_dir}' if out_dir is not None else ''
    print(f'{count - failed} of {count} samples drawn{where}; the data set has {len(dataset)}')
    return 0 if failed < count else 1


def show_window(picture, seconds: float) -> bool:
    """Show a picture; False where this OpenCV cannot (headless build) or the user pressed q."""
    import cv2

    try:
        cv2.imshow('browse_dataset', picture[..., ::-1])
        return cv2.waitKey(max(1, round(1000 * seconds))) not in (ord('q'), 27)
    except cv2.error:
        print('this OpenCV build opens no windows; use --out-dir', file=sys.stderr)
        return False
