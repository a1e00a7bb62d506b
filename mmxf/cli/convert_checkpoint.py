"""Official checkpoints to ours and back."""
import argparse
import importlib
from pathlib import Path

from ._errors import user_errors

SUMMARY = "Convert a paper's official checkpoint to ours, or back with --reverse."


def papers() -> list[str]:
    """Slugs of the papers that have a converter."""
    folder = Path(__file__).resolve().parents[1] / 'models'
    return sorted(path.parent.name for path in folder.glob('*/convert.py'))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='convert_checkpoint', description=SUMMARY)
    parser.add_argument('paper', choices=papers(), help='whose checkpoint it is')
    parser.add_argument('source', metavar='IN', help='checkpoint, .pth or .pkl, bare or under "model"')
    parser.add_argument('target', metavar='OUT', help='file to write (.pth)')
    parser.add_argument('--reverse', action='store_true', help='from ours to the official names')
    parser.add_argument('--trust-pickle', '--allow-pickle', dest='allow_pickle', action='store_true',
                        help='load a file that holds more than weights; it can run any code, so only your own')
    return parser.parse_args(argv)


@user_errors
def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    import io

    import torch

    from mmxf.engine.atomic_files import write_atomically
    from mmxf.engine.checkpoint_io import load_file

    from ._outputs import check_file

    check_file(args.target, 'OUT')
    converter = importlib.import_module(f'mmxf.models.{args.paper}.convert')
    try:
        checkpoint = load_file(args.source, allow_pickle=args.allow_pickle)
        if not isinstance(checkpoint, dict):
            raise ValueError(f'{args.source} holds a {type(checkpoint).__name__}, not a dictionary of weights')
        state = (converter.revert if args.reverse else converter.convert)(checkpoint)
    except (OSError, ValueError, RuntimeError) as error:
        print(f'convert_checkpoint: {error}')
        return 1
    state = {key: value.contiguous() for key, value in state.items()}
    content = {'model': state} if args.reverse else {'state_dict': state, 'meta': {'paper': args.paper}}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_atomically(args.target, buffer.getvalue())
    count = sum(value.numel() for value in state.values())
    print(f'{len(state)} tensors, {count / 1e6:.2f} M numbers: {args.source} -> {args.target}')
    return 0
