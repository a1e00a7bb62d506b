"""Checks configs: python tools/check_config.py CONFIG..."""

import sys

from mmxf.cli.check_config import main

sys.exit(main())
