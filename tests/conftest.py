"""Fixtures shared by the whole suite."""
import gc
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


@pytest.fixture(scope='session', autouse=True)
def _memory_goes_back():
    """Commands called in this process do not keep freed memory: a process of many tests would grow to the largest's size."""
    from mmxf import allocator

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(allocator, 'keep_freed_memory', lambda: False)
        yield


@pytest.fixture(scope='session', autouse=True)
def _configs_are_laid_out_once():
    """As the commands do, for tests that build a Runner themselves."""
    from mmxf.config.printing import prepare_printing

    prepare_printing()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests first where several processes share the files: none is left alone with one of them at the end."""
    if hasattr(config, 'workerinput'):
        slow = {item.path for item in items if item.get_closest_marker('slow')}
        items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """What the test files imported stays: mmengine looks through all of it for garbage whenever a dataset is built."""
    gc.collect()
    gc.freeze()
