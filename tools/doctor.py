"""Thin: the command is mmxf/cli/doctor.py, also ``mmxf doctor``."""
import sys

from mmxf.cli.doctor import main

if __name__ == '__main__':
    sys.exit(main())
