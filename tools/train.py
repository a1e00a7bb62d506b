"""Trains a model: python tools/train.py CONFIG."""

import sys

from mmxf.cli.train import main

sys.exit(main())
