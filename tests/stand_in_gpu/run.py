"""Commands of mmxf on the stand-in GPU, in one process: ``run.py LIBRARY``, with a line of JSON for each command on stdin."""
import json
import sys
from pathlib import Path

import stand_in_gpu

stand_in_gpu.install(Path(sys.argv[1]))

from mmxf.cli.__main__ import main  # noqa: E402

for line in sys.stdin:
    print(f'## {main(json.loads(line))}', flush=True)
