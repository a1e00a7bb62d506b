"""Thin: the command is mmxf/cli/get_flops.py, also ``mmxf get_flops``."""
import sys

from mmxf.cli.get_flops import main

if __name__ == '__main__':
    sys.exit(main())
