"""Items over forked processes: order, errors, and ends that nobody planned."""
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from mmxf.evaluation.forked import can_fork, map_in_order

pytestmark = pytest.mark.skipif(not can_fork(), reason='forks on Linux only')


def test_closures_in_order_from_other_processes():
    table = {index: (index, lambda: None) for index in range(40)}         # cannot be pickled

    def look_up(index):
        time.sleep(0.02 if index == 0 else 0)
        return table[index][0], os.getpid()

    found = list(map_in_order(look_up, 40, 3))
    assert [index for index, _ in found] == list(range(40))
    assert os.getpid() not in {process for _, process in found} and 1 < len({process for _, process in found}) <= 3
    assert {process for _, process in map_in_order(look_up, 3, 1)} == {os.getpid()}
    assert list(map_in_order(look_up, 0, 4)) == []


def test_the_first_error_comes_through():
    def fail(index):
        if index in (3, 7):
            time.sleep(0.1 if index == 3 else 0)
            raise KeyError(f'item {index}')
        return index

    before, seen = set(multiprocessing.active_children()), []    # other tests' data workers may still run
    with pytest.raises(KeyError, match='item 3'):
        for value in map_in_order(fail, 100, 2):
            seen.append(value)
    assert seen == [0, 1, 2] and set(multiprocessing.active_children()) <= before


def test_a_killed_process_is_an_error():
    def die(index):
        if index == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    with pytest.raises(RuntimeError, match='one of 2 processes ended.*memory'):
        list(map_in_order(die, 20, 2))


def test_processes_end_with_a_killed_caller(tmp_path):
    code = f"""
import os, time
from mmxf.evaluation.forked import map_in_order
def work(index):
    open(os.path.join({str(tmp_path)!r}, str(os.getpid())), 'w').close()
    time.sleep(60)
list(map_in_order(work, 2, 2))
"""
    caller = subprocess.Popen([sys.executable, '-c', code])
    try:
        until = time.monotonic() + 30
        while len(os.listdir(tmp_path)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        workers = [int(name) for name in os.listdir(tmp_path)]
        assert len(workers) == 2
    finally:
        caller.kill()
        caller.wait()
    time.sleep(1)
    assert not [worker for worker in workers if _runs(worker)]


def _runs(process: int) -> bool:
    try:
        with open(f'/proc/{process}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] not in 'ZX'
    except FileNotFoundError:
        return False


def test_in_a_process_that_may_have_none():
    default = (signal.SIGTERM, signal.SIG_DFL)       # by which the pool ends its worker; this process may have another handler
    with multiprocessing.get_context('fork').Pool(1, signal.signal, default) as pool:        # its workers are daemons
        assert pool.apply(_sum_of_squares) == 0 + 1 + 4 + 9


def _sum_of_squares():
    return sum(map_in_order(lambda index: index ** 2, 4, 2))
