"""Thin: the command is mmxf/cli/export.py, also ``mmxf export``."""
import sys

from mmxf.cli.export import main

if __name__ == '__main__':
    sys.exit(main())
