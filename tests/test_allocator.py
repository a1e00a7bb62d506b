"""Freed memory that stays with the process."""
import platform
import subprocess
import sys

import pytest

from mmxf.allocator import keep_freed_memory

FAULTS = '''
import resource, torch
from mmxf.allocator import keep_freed_memory
KEEP and keep_freed_memory()
for i in range(40):
    if i == 20:     # the heap has its final size
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(10, 1 << 20).exp_()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
'''


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='only glibc can be told')
def test_freed_memory_is_not_fetched_again():
    fresh, kept = (int(subprocess.run([sys.executable, '-c', FAULTS.replace('KEEP', keep)], capture_output=True, text=True,
                                      check=True).stdout) for keep in ('False', 'True'))
    assert kept < fresh / 2, (kept, fresh)


def test_the_users_setting_stands(monkeypatch):
    monkeypatch.setenv('MALLOC_TRIM_THRESHOLD_', '1000000')
    assert keep_freed_memory() is False
