"""Thin: the command is mmxf/cli/demo.py, also ``mmxf demo``."""
import sys

from mmxf.cli.demo import main

if __name__ == '__main__':
    sys.exit(main())
