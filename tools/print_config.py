"""Prints a config as the run will see it: python tools/print_config.py CONFIG."""

import sys

from mmxf.cli.print_config import main

sys.exit(main())
