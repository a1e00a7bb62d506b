"""``--help`` of the commands of this room: nothing heavy is imported."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize('name', ['demo', 'browse_dataset', 'get_flops', 'benchmark', 'plot_log'])
def test_help_imports_nothing_heavy(name):
    code = (
        f'import sys\nfrom mmxf.cli.{name} import main\n'
        'try:\n    main(["--help"])\nexcept SystemExit as end:\n'
        '    assert not end.code\n'
        'print([m for m in ("torch", "numpy", "cv2", "mmengine", "mmdet", "matplotlib") if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'
    assert 'usage:' in done.stdout
