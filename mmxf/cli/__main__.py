"""``mmxf COMMAND ...`` (also ``python -m mmxf.cli``): finds the commands of this folder and runs one."""

import ast
import importlib
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def commands() -> dict[str, str]:
    """Name of each command and its one-line SUMMARY, read without importing it: modules here that define
    SUMMARY."""
    found = {}
    for path in sorted(FOLDER.glob('*.py')):
        if path.stem.startswith('_'):
            continue
        for node in ast.parse(path.read_text(encoding='utf-8')).body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id == 'SUMMARY'
                and isinstance(node.value, ast.Constant)
            ):
                found[path.stem.replace('_', '-')] = node.value.value
    return found


def overview() -> str:
    """The text of ``mmxf --help``."""
    found = commands()
    width = max(map(len, found), default=0)
    lines = [f'  {name:<{width}}  {summary}' for name, summary in found.items()]
    return '\n'.join(
        [
            'usage: mmxf COMMAND [arguments]',
            '',
            'commands:',
            *lines,
            '',
            'mmxf COMMAND --help says more about one. The same commands are in tools/.',
        ]
    )


def main(argv: list[str] | None = None) -> int:
    """Runs ``mmxf``; returns the command's exit status, 2 for an unknown command."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in ('-h', '--help', 'help'):
        print(overview())
        return 0
    if argv[0] in ('-V', '--version', 'version'):
        from mmxf import __version__

        print(f'mmxf {__version__}')
        return 0
    name = argv[0].replace('_', '-')
    if name not in commands():
        from mmxf.config.errors import did_you_mean

        print(
            f'mmxf: there is no command {argv[0]!r}{did_you_mean(name, commands())}\n\n{overview()}',
            file=sys.stderr,
        )
        return 2
    sys.argv[0] = f'mmxf {name}'  # what usage messages call the program
    module = importlib.import_module(f'mmxf.cli.{name.replace("-", "_")}')
    return module.main(argv[1:]) or 0


if __name__ == '__main__':
    sys.exit(main())
