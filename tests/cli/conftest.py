"""How long a command takes, whatever else the machine does."""
import resource
import subprocess
import sys

import pytest


@pytest.fixture
def cpu_seconds():
    """cpu_seconds(*arguments of python) -> CPU seconds of the quickest of up to five calls, and its output.

    CPU time, not that of a clock: a busy machine makes others wait. Stops as soon as a call is below half a second.
    """

    def call(*args: str) -> tuple[float, str]:
        best = float('inf')
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run([sys.executable, *args], capture_output=True, text=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert done.returncode == 0, done.stderr
            best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
            if best < 0.5:
                break
        return best, done.stdout

    return call
