"""Thin: the command is mmxf/cli/plot_log.py, also ``mmxf plot_log``."""
import sys

from mmxf.cli.plot_log import main

if __name__ == '__main__':
    sys.exit(main())
