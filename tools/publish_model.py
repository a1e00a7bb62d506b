"""Thin: the command is mmxf/cli/publish_model.py, also ``mmxf publish_model``."""
import sys

from mmxf.cli.publish_model import main

if __name__ == '__main__':
    sys.exit(main())
