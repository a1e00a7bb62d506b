"""Thin: the command is mmxf/cli/eval_panoptic.py, also ``mmxf eval_panoptic``."""
import sys

from mmxf.cli.eval_panoptic import main

if __name__ == '__main__':
    sys.exit(main())
