#!/usr/bin/env python
"""From nothing to a trained model; see `mmxf.cli.quickstart`. tools/quickstart.sh installs first."""
import sys

from mmxf.cli.quickstart import main

if __name__ == '__main__':
    sys.exit(main())
