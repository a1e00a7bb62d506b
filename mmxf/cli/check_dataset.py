"""Is the data what the config says? Names, counts, files, labels, boxes, ids; numbers of each class; a sheet of samples."""

import argparse
import sys
from pathlib import Path

from ._errors import user_errors

SUMMARY = "Check a config's data sets: files, labels, ids, boxes, class counts; draw a sheet of samples"


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=SUMMARY, epilog='Exit status 1 when something must be mended.')
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('--split', nargs='+', choices=('train', 'val', 'test'), default=['train', 'val'],
                        help='(default: train val)')
    parser.add_argument('--sample', type=int, default=None, metavar='N',
                        help='open N samples of each, spread over it (default: all)')
    parser.add_argument('--checkpoint', metavar='FILE', help="also compare its classes (default: the config's load_from)")
    parser.add_argument('--out-dir', metavar='DIR', help='folder of the sheets (default: work_dirs/check/CONFIG)')
    parser.add_argument('--pictures', type=int, default=16, help='samples on each sheet; 0 = no sheet (default: 16)')
    parser.add_argument('--json', metavar='FILE', help='also write the reports as JSON')
    parser.add_argument('--cfg-options', nargs='+', default=None, metavar='KEY=VALUE', help='override config values')
    args = parser.parse_args(argv)
    if args.sample is not None and args.sample < 1:
        parser.error('--sample must be at least 1')
    return args


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._outputs import check_file, check_folder

    check_folder(args.out_dir or 'work_dirs/check', '--out-dir')
    check_file(args.json, '--json')
    import time

    started = time.monotonic()
    from mmxf.apis import open_config
    from mmxf.apis.datasets import build_dataset
    from mmxf.config import UserError
    from mmxf.config.overrides import parse_options
    from mmxf.datasets.annotation_file import READER_ERRORS
    from mmxf.datasets.check import check_dataset
    from mmxf.datasets.check.rescue import open_anyway

    cfg = open_config(args.config, parse_options(args.cfg_options))
    splits = [split for split in args.split if cfg.get(f'{split}_dataloader')]
    if not splits:
        raise UserError(f'{args.config} has no {" and no ".join(f"{split}_dataloader" for split in args.split)}')
    out_dir = Path(args.out_dir or Path('work_dirs/check') / Path(args.config).stem)
    reports, known = [], None
    for split in splits:
        name = f'{split}_dataloader.dataset'
        try:
            dataset = build_dataset(cfg, split)
        except (*READER_ERRORS, OSError) as error:
            dataset, report = open_anyway(build_dataset, cfg, split, name, error)
            if dataset is None:
                reports.append(report)
                print(report.text(), flush=True)
                continue
        report, shown = check_dataset(dataset, name, sample=args.sample, model=cfg.get('model'), pictures=args.pictures)
        known = known or dataset
        reports.append(report)
        if split == splits[0] and (args.checkpoint or cfg.get('load_from')):
            compare_checkpoint(report, cfg, args.checkpoint or cfg.load_from)
        print(report.text(), flush=True)
        if shown:
            print(f'sheet: {draw(shown, dataset, out_dir / f"{split}.png")}')
        print()
    if args.json:
        import json

        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps([report.as_dict() for report in reports], indent=1))
    wrong = sum(len(report.errors) for report in reports)
    print(f'{"nothing must be mended" if not wrong else f"{wrong} kinds of errors"}; {time.monotonic() - started:.1f} s in all')
    return 1 if wrong else 0


def draw(shown, dataset, path: Path) -> Path:
    """Writes the contact sheet."""
    from mmxf.visualization import write_image
    from mmxf.visualization.contact_sheet import annotated, contact_sheet

    meta, tiles = dict(getattr(dataset, 'metainfo', None) or {}), []
    for kind, found, title in shown:
        try:
            tiles.append((annotated(kind, found, meta), title + (f'   {found[1]}' if kind == 'classification' else '')))
        except (ValueError, IndexError) as error:   # what the report names already cannot always be drawn
            print(f'not drawn: {title}: {error}', file=sys.stderr)
    return write_image(path, contact_sheet(tiles)) if tiles else path


def compare_checkpoint(report, cfg, source) -> None:
    """Class names and counts of a checkpoint, in any form of `load_from`; the counts as the model of the config sees them."""
    from mmxf.apis import CheckpointError, build_model, load_checkpoint
    from mmxf.apis.checkpoint import state_dict_of
    from mmxf.datasets.check.classes import check_checkpoint, check_stored_names
    from mmxf.engine.weights_source import WeightsError, is_remote, locate

    try:
        path = str(locate(source) if is_remote(source) else source)
        checkpoint = load_checkpoint(path)
    except (CheckpointError, WeightsError) as error:
        report.add('checkpoints that cannot be read', str(source), str(error), cure='check load_from')
        return
    stored = ((checkpoint.get('meta') or {}).get('dataset_meta') or {}).get('classes')
    if stored:
        check_stored_names(report, path, stored, report.classes)
    tell = getattr(build_model(cfg), 'checkpoint_num_classes', None)
    count = tell(state_dict_of(checkpoint)) if tell else None
    check_checkpoint(report, path, report.classes, len(stored) if count is None and stored else count)
