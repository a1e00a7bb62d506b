"""Thin: the command is mmxf/cli/browse_dataset.py, also ``mmxf browse_dataset``."""
import sys

from mmxf.cli.browse_dataset import main

if __name__ == '__main__':
    sys.exit(main())
