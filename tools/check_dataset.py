"""Thin: the command is mmxf/cli/check_dataset.py, also ``mmxf check_dataset``."""
import sys

from mmxf.cli.check_dataset import main

if __name__ == '__main__':
    sys.exit(main())
