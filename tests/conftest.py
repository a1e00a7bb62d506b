"""Fixtures shared by the whole suite."""
import os
from pathlib import Path

import pytest


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Folder of small real labelled samples, named by MMXF_REAL_DATA; tests that need it skip without it."""
    folder = os.environ.get('MMXF_REAL_DATA')
    if not folder or not Path(folder).is_dir():
        pytest.skip('set MMXF_REAL_DATA to the folder of real samples to run this test')
    return Path(folder)
