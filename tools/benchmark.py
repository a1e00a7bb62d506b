"""Thin: the command is mmxf/cli/benchmark.py, also ``mmxf benchmark``."""
import sys

from mmxf.cli.benchmark import main

if __name__ == '__main__':
    sys.exit(main())
