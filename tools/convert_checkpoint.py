#!/usr/bin/env python
"""Converts official checkpoints; see `mmxf.cli.convert_checkpoint`."""
import sys

from mmxf.cli.convert_checkpoint import main

if __name__ == '__main__':
    sys.exit(main())
