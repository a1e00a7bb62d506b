"""``mmxf check-config CONFIG...``: finds what is wrong with configs before anything is built."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ._errors import user_errors

SUMMARY = 'Check configs: every type, every key, with file, line and the nearest right name'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Arguments of the command."""
    parser = argparse.ArgumentParser(
        description='Check configs without building anything: every type against the registries, every key '
        'against the constructor it goes to. Exit status 1 when something is wrong.'
    )
    parser.add_argument(
        'configs',
        nargs='+',
        metavar='CONFIG',
        help='config files, or folders: all configs in them except those in _base_',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config values'
    )
    return parser.parse_args(argv)


@user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command: 0 when all configs are right, else 1."""
    args = parse_args(argv)
    from mmxf.config import UserError, load_config
    from mmxf.config.overrides import parse_options

    wrong = 0
    try:
        options = parse_options(args.cfg_options)
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    paths = find_configs(args.configs)
    for path in paths:
        try:
            load_config(path, options)
            print(f'ok  {path}', flush=True)
        except (UserError, ImportError) as error:
            wrong += 1
            print(error, file=sys.stderr, flush=True)
    if len(paths) != 1:
        print(f'{len(paths) - wrong} of {len(paths)} configs are right')
    return 1 if wrong or not paths else 0


def find_configs(names: list[str]) -> list[str]:
    """Files as they are; folders replaced by the configs in them, ``_base_`` left out: those are parts of
    configs."""
    found = []
    for name in names:
        if Path(name).is_dir():
            found += [str(path) for path in sorted(Path(name).rglob('*.py')) if '_base_' not in path.parts]
        else:
            found.append(name)
    return found
