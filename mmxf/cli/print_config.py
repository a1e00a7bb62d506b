"""``mmxf print-config CONFIG``: the config as the run will see it."""

from __future__ import annotations

import argparse
import difflib
import sys

from ._errors import user_errors

SUMMARY = 'Print a config with bases, overrides and references resolved, or how two differ'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Arguments of the command."""
    parser = argparse.ArgumentParser(
        description='Print a config with its bases, overrides and references resolved.'
    )
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help='override config values'
    )
    parser.add_argument('--diff', metavar='OTHER', help='print how CONFIG differs from this config instead')
    parser.add_argument('--no-check', action='store_true', help='do not check types and keys')
    return parser.parse_args(argv)


@user_errors
def main(argv: list[str] | None = None) -> int:
    """Runs the command: 0, or 1 when a config is wrong."""
    args = parse_args(argv)
    from mmxf.config import UserError, load_config
    from mmxf.config.overrides import parse_options

    try:
        text = load_config(args.config, parse_options(args.cfg_options), check=not args.no_check).pretty_text
        if args.diff:
            other = load_config(args.diff, check=not args.no_check).pretty_text
            text = '\n'.join(
                difflib.unified_diff(
                    other.splitlines(), text.splitlines(), args.diff, args.config, lineterm=''
                )
            )
    except UserError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(text.rstrip())
    return 0
