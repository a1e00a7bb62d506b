"""Evaluates a model: python tools/test.py CONFIG CHECKPOINT."""

import sys

from mmxf.cli.test import main

sys.exit(main())
