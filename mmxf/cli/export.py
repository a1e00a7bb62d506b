"""A trained model as a file that runs without mmxf, checked against the model."""

import argparse
from pathlib import Path

from ._errors import user_errors

SUMMARY = "Export a model to torch's format or ONNX, and compare the file with the model"


def parse_args(argv=None) -> argparse.Namespace:
    from .get_flops import check_shape

    parser = argparse.ArgumentParser(
        description=SUMMARY, epilog='Exit status 1 when the file does not agree with the model. docs/export.md shows how such '
        'a file is used.')
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint file')
    parser.add_argument('--format', choices=('torch-export', 'onnx'), default='onnx', help='(default: onnx)')
    parser.add_argument('--out', metavar='FILE', help='file to write (default: the checkpoint with .onnx or .pt2)')
    parser.add_argument('--shape', type=int, nargs='+', metavar=('H', 'W'),
                        help="input size; one number is a square (default: the config's image_size)")
    parser.add_argument('--dynamic', nargs='+', choices=('none', 'batch', 'size'), default=['batch'],
                        help='what may vary: the number of images, their size (default: batch)')
    parser.add_argument('--images', nargs='+', metavar='FILE', help='files or folders of images (of 2-D joints for models that '
                        "lift them) to compare on (default: of the config's test set)")
    parser.add_argument('--number', type=int, default=4, help='how many inputs to compare on (default: 4)')
    parser.add_argument('--tolerance', type=float, default=None, help='largest relative difference that passes (default: 1e-3)')
    parser.add_argument('--trust-pickle', '--allow-pickle', dest='allow_pickle', action='store_true',
                        help='load a checkpoint that may run code of whoever made it; only for files that you trust')
    parser.add_argument('--cfg-options', nargs='+', default=None, metavar='KEY=VALUE', help='override config values')
    args = parser.parse_args(argv)
    args.shape = check_shape(parser, args.shape)
    args.dynamic = [] if 'none' in args.dynamic else args.dynamic
    return args


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from mmxf.apis import init_model
    from mmxf.apis.export.program import ImageProgram, program_of
    from mmxf.apis.export.verify import TOLERANCE, at_size, compare, made_up, other_size, real_batches
    from mmxf.apis.export.write import (
        SUFFIXES,
        check_packages,
        describe,
        trace,
        write_notes,
        write_onnx,
        write_torch,
    )
    from mmxf.apis.synthetic import open_at_size
    from mmxf.config.overrides import parse_options

    from ._outputs import check_file

    # Before the minutes, not after them.
    check_file(args.out or args.checkpoint, '--out')
    if args.format == 'onnx':
        check_packages()
    cfg, shape = open_at_size(args.config, args.shape, parse_options(args.cfg_options))
    model = init_model(cfg, args.checkpoint, allow_pickle=args.allow_pickle)
    program = program_of(model)
    program.onnx = args.format == 'onnx'
    batches, source = real_batches(model, _files(args.images), args.number)
    if isinstance(program, ImageProgram):
        if args.shape is None and batches and 'size' not in args.dynamic:
            shape = tuple(batches[0]['inputs'].shape[-2:])
        batches = [at_size(batch, shape) for batch in batches]
    if not batches:
        print(f'note: no real inputs ({source}): compared on made-up ones; give --images')
        batches = [_batch(program, made_up(program, shape, seed)) for seed in range(args.number)]
    arguments = program.arguments(batches[0])
    arguments = tuple(value[:1] for value in arguments)
    out = Path(args.out) if args.out else Path(args.checkpoint).with_suffix(SUFFIXES[args.format])
    out.parent.mkdir(parents=True, exist_ok=True)
    exported = trace(program, arguments, args.dynamic)
    if args.format == 'onnx':
        write_onnx(exported, program, arguments, out)
    else:
        write_torch(exported, out)
    notes = write_notes(out, describe(program, exported, args.dynamic))
    print(f'{out}: {out.stat().st_size / 2**20:.1f} MB, ' + ', '.join(
        f'{name} {"x".join(map(str, value.shape[1:]))}' for name, value in zip(program.inputs, arguments)) +
        (f', dynamic {" and ".join(args.dynamic)}' if args.dynamic else ', fixed') + f'; how to use it: {notes}')
    tolerance = TOLERANCE if args.tolerance is None else args.tolerance
    groups = {f'{source}': batches}
    if 'size' in args.dynamic:
        size = other_size(shape)
        groups[f'the same at {size[0]} x {size[1]}'] = [at_size(batch, size) for batch in batches]
    if 'batch' in args.dynamic and all(len(program.arguments(b)[0]) == 1 for b in batches) and len(batches) > 1:
        import torch

        if isinstance(batches[0]['inputs'], torch.Tensor) and len({b['inputs'].shape for b in batches}) == 1:
            whole = torch.cat([batch['inputs'] for batch in batches])
            groups[f'all {len(batches)} in one batch'] = [dict(inputs=whole, data_samples=None)]
    results = compare(program, out, list(groups.values()))
    passed = _report(list(groups), results, tolerance)
    if not any(row.norm for rows, *_ in results for row in rows if program.evidence in (None, row.name)):
        print(f'NOTHING WAS COMPARED: the model finds nothing in these images (all {program.evidence or "outputs"} are 0). Give '
              '--images in which it does, or a lower threshold by --cfg-options (model.test_cfg.rcnn.score_thr=0)')
        return 1
    print('the file agrees with the model' if passed else
          f'THE FILE DIFFERS from the model by more than {tolerance:g} of the norm: do not use it')
    return 0 if passed else 1


def _files(paths: list[str] | None) -> list[str] | None:
    """The given files, folders replaced by what lies in them.

    Raises:
        UserError: for what is not there, or a folder without files.
    """
    from mmxf.config import UserError

    files: list[str] = []
    for path in map(Path, paths or []):
        found = sorted(entry for entry in path.iterdir() if entry.is_file()) if path.is_dir() else [path]
        if not found or not found[0].is_file():
            raise UserError(f'--images {path}: ' + ('a folder without files' if path.is_dir() else 'no such file or folder'))
        files += map(str, found)
    return files or None


def _batch(program, arguments) -> dict:
    """What the preprocessor would have made of a program's inputs."""
    from mmxf.apis.export.program import ImageProgram

    value = program.normalise(arguments[0]) if isinstance(program, ImageProgram) else arguments[0]
    return dict(inputs=value, data_samples=None)


def _report(groups: list[str], results: list, tolerance: float) -> bool:
    """Prints what was compared; whether all of it passes."""
    for what, (rows, model_ms, file_ms) in zip(groups, results):
        print(f'{what}: model {model_ms:.0f} ms, file {file_ms:.0f} ms (CPU)')
        for row in rows:
            print(f'  {row.name:<14} largest difference {row.largest:.1e}, relative {row.relative:.1e}' + (
                f', {100 * row.agreement:.2f}% equal decisions' if row.agreement is not None else '') +
                ('' if row.passed(tolerance) else '   FAILED'))
    return all(row.passed(tolerance) for rows, *_ in results for row in rows)
