"""Thin: the command is mmxf/cli/make_miniworld.py, also ``mmxf make_miniworld``."""
import sys

from mmxf.cli.make_miniworld import main

if __name__ == '__main__':
    sys.exit(main())
