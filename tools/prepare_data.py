"""Thin: the command is mmxf/cli/prepare_data.py, also ``mmxf prepare_data``."""
import sys

from mmxf.cli.prepare_data import main

if __name__ == '__main__':
    sys.exit(main())
