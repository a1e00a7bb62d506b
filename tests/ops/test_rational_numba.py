"""The rational function compiled by numba: against the torch path, at once in threads and processes, and without numba."""
import multiprocessing
import subprocess
import sys
import threading

import pytest
import rational_cases
import torch

from mmxf.ops import rational as rational_module
from mmxf.ops import rational_numba, rational_torch
from mmxf.ops import threads as threads_module
from mmxf.ops.rational import rational

pytest.importorskip('numba')


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def fresh():
    """The choice of a path is made again, before and after."""
    for cached in (rational_module._cpu_kernels, rational_numba._compiled):
        cached.cache_clear()
    yield
    for cached in (rational_module._cpu_kernels, rational_numba._compiled):
        cached.cache_clear()


def both(path, x, grad, a, b, inner):
    return path.forward(x, a, b, inner), *path.backward(x, grad, a, b, inner)


def inputs(outer=8, groups=8, inner=24, dtype=torch.float32):
    kind = torch.promote_types(dtype, torch.float32)
    x, grad = 2 * torch.randn(2, outer, groups * inner, dtype=dtype)
    return x, grad, torch.randn(groups, 6, dtype=kind), torch.randn(groups, 4, dtype=kind), inner


def close(got, wanted, tolerance):
    for one, other in zip(got, wanted):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert (one.double() - other.double()).abs().max() <= tolerance * other.double().abs().max()


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
@pytest.mark.parametrize('name', rational_cases.CASES)
def test_same_as_the_torch_path(name, dtype, tolerance, three_threads, monkeypatch):
    monkeypatch.setattr(rational_numba, 'PART', 100)             # three parts, whose bounds are within runs
    groups, inner = rational_cases.inner_of(name)
    x, a, b, grad = rational_cases.case(name, dtype)
    a, b = a.expand(groups, -1), b.expand(groups, -1)
    close(both(rational_numba, x, grad, a, b, inner), both(rational_torch, x, grad, a, b, inner), tolerance)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(('outer', 'groups', 'inner'), [(67, 3, 5), (1, 1, 7001), (5, 8, 33)])
def test_half_precision_in_blocks(dtype, outer, groups, inner, three_threads, monkeypatch):
    monkeypatch.setattr(rational_numba, 'PART', 64)
    monkeypatch.setattr(rational_numba, 'BLOCK', 90)
    x, grad, a, b, _ = inputs(outer, groups, inner, dtype)
    y, dx, da, db = both(rational_numba, x, grad, a, b, inner)
    wanted = both(rational_torch, x.double(), grad.double(), a.double(), b.double(), inner)
    close((y.double(), dx.double()), wanted[:2], 4e-3)           # one rounding
    close((da.double(), db.double()), wanted[2:], 1e-5)
    assert y.dtype == dx.dtype == dtype and da.dtype == db.dtype == torch.float32


def test_sums_stay_exact_in_long_runs():
    x, grad, a, b, inner = inputs(1, 1, 3_000_000)
    got = both(rational_numba, x, grad.abs() + 1, a, b, inner)
    wanted = both(rational_torch, x.double(), grad.abs().double() + 1, a.double(), b.double(), inner)
    close([t.double() for t in got[2:]], wanted[2:], 1e-6)


def test_not_a_number_stays_one():
    x, grad, a, b, inner = inputs()
    x[0, 5], x[3, 30], x[4, 60] = float('nan'), float('inf'), -float('inf')
    got, wanted = (both(path, x, grad, a, b, inner) for path in (rational_numba, rational_torch))
    assert got[0].isnan().sum() == 3 and torch.equal(got[0].isnan(), wanted[0].isnan())
    assert torch.equal(got[1].isnan(), wanted[1].isnan())
    assert got[2].isnan().any(1).tolist() == [True, True, True] + 5 * [False]      # the groups of columns 5, 30 and 60
    grad[0, 190] = float('nan')
    _, dx, da, _ = both(rational_numba, x, grad, a, b, inner)
    assert dx[0, 190].isnan() and da[7].isnan().all()
    # With these flags a compiler may do otherwise on another machine, though it does not on this one.
    for kernel in rational_numba.functions(5, 4, torch.float32):
        assert not {'fast', 'nnan', 'ninf'} & set(kernel.targetoptions['fastmath'])


def test_both_zeros_count_as_positive():
    x = torch.tensor([[0.0, -0.0, 0.0, -0.0]])
    dx = rational_numba.backward(x, torch.ones_like(x), torch.tensor([[1.0, 0.5]]), torch.tensor([[0.25]]), 4)[0]
    assert dx.tolist() == [[0.25] * 4]                           # (a_1 Q - P dQ/dx) / Q^2 = 0.5 - 0.25


def test_it_is_what_runs(monkeypatch):
    seen = []
    for name in ('forward', 'backward'):
        function = getattr(rational_numba, name)
        monkeypatch.setattr(rational_numba, name, lambda *t, f=function, name=name: (seen.append(name), f(*t))[1])
    x, _, a, b, _ = inputs()
    rational(x.clone().requires_grad_(), a, b).sum().backward()
    assert seen == ['forward', 'backward']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert rational(x.bfloat16(), a, b).dtype == torch.bfloat16
    assert seen.pop() == 'forward'
    # What records or counts operators must see torch's, and so must tensors without memory.
    from torch.fx.experimental.proxy_tensor import make_fx
    graph = make_fx(lambda x, a, b: rational(x, a, b))(x, a, b)
    rational(x.to('meta'), a.to('meta'), b.to('meta'))
    assert seen == ['forward', 'backward']
    torch.testing.assert_close(graph(2 * x, a, b), rational(2 * x, a, b))


def test_unaligned_memory():
    memory = bytearray(4 * 96 + 1)
    x = torch.frombuffer(memory, dtype=torch.float32, offset=1).view(2, 48).fill_(0.5)
    a, b = torch.randn(1, 6), torch.randn(8, 4)
    assert torch.equal(rational(x, a, b), rational(x.clone(), a, b))


@pytest.mark.parametrize('team', [True, False])
def test_the_same_bits_with_either_kind_of_threads(team, three_threads, monkeypatch):
    case = inputs(1000, 8, 96)
    assert len(rational_numba.bounds(case[0].numel(), 3)) == 3
    wanted = both(rational_numba, *case)
    if not team:
        monkeypatch.setattr(threads_module, '_openmp', lambda: None)
    for _ in range(3):
        assert all(map(torch.equal, both(rational_numba, *case), wanted))


@pytest.mark.parametrize('team', [True, False])
def test_calls_at_once(team, three_threads, monkeypatch):
    if not team:
        monkeypatch.setattr(threads_module, '_openmp', lambda: None)
    cases = [inputs(700 + k, 8, 96) for k in range(4)]
    wanted = [both(rational_numba, *case) for case in cases]
    wrong = []

    def work(k: int) -> None:
        torch.set_num_threads(3)                                 # a thread of its own starts with the default
        for _ in range(10):
            if not all(map(torch.equal, both(rational_numba, *cases[k]), wanted[k])):
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def _in_child(connection, case, wanted) -> None:
    # Not torch.equal, which is one of those operators of torch that hang here.
    got = both(rational_numba, *case)
    connection.send(all(one.numpy().tobytes() == other.numpy().tobytes() for one, other in zip(got, wanted)))


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no fork')
def test_after_a_fork(three_threads):
    case = inputs(1000, 8, 96)
    wanted = both(rational_numba, *case)                         # the team of this process is up
    threads_module._in_pool([lambda: None] * 3)                  # and so is the pool
    for _ in range(2):
        ours, theirs = multiprocessing.Pipe()
        child = multiprocessing.get_context('fork').Process(target=_in_child, args=(theirs, case, wanted))
        child.start()
        try:
            assert ours.poll(120), 'the forked process hangs'
            assert ours.recv()
        finally:
            child.kill()
            child.join()


def test_without_numba(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, 'numba', None)
    x, _, a, b, inner = inputs()
    with pytest.warns(UserWarning, match='runs in plain torch on the CPU, several times slower: no numba'):
        y = rational(x, a, b)
    assert torch.equal(y, rational_torch.forward(x, a, b, inner))
    rational(2 * x, a, b)                                        # told once


def test_numba_told_not_to_compile(fresh, monkeypatch):
    import numba

    monkeypatch.setattr(numba.config, 'DISABLE_JIT', 1)
    x, _, a, b, _ = inputs()
    with pytest.warns(UserWarning, match='NUMBA_DISABLE_JIT'):
        rational(x, a, b)


def run(code: str, **environment) -> subprocess.Popen:
    import os

    return subprocess.Popen([sys.executable, '-W', 'error::UserWarning', '-c', code], env={**os.environ, **environment},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def done(process: subprocess.Popen) -> str:
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, text
    return text


def test_nothing_imports_numba_before_the_first_call():
    code = 'import sys, mmxf, mmxf.ops.rational, mmxf.ops.rational_numba, mmxf.models.kat; print("numba" in sys.modules)'
    assert done(run(code)).split()[-1] == 'False'


def test_caches_of_all_kinds(tmp_path):
    """Two processes at once in an empty folder, then a third one with damaged files, and one that finds no folder."""
    code = ('import torch\nfrom mmxf.ops.rational import rational\n'
            'print(rational(torch.ones(1, 8), torch.ones(1, 2), torch.ones(1, 1)))')
    folder, blocked = tmp_path / 'cache', tmp_path / 'file'
    blocked.write_text('not a folder')
    first = [run(code, NUMBA_CACHE_DIR=str(folder)) for _ in range(2)]
    assert all('1.' in done(process) for process in first)
    files = [path for path in folder.rglob('*') if path.suffix in ('.nbi', '.nbc')]
    assert len(files) >= 4
    for path in files:
        path.write_bytes(path.read_bytes()[:20])
    last = [run(code, NUMBA_CACHE_DIR=str(folder)), run(code, NUMBA_CACHE_DIR=str(blocked / 'cache'))]
    assert all('1.' in done(process) for process in last)


def test_temporaries_stay_below_twice_the_input():
    from torch.profiler import ProfilerActivity, profile

    for dtype in (torch.float32, torch.bfloat16):
        x, grad, a, b, inner = inputs(3000, 8, 24, dtype)
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as log:
            rational_numba.backward(x, grad, a, b, inner)
        held = peak = 0
        for event in sorted((e for e in log.profiler.kineto_results.events() if e.name() == '[memory]'),
                            key=lambda e: e.start_ns()):
            held += event.nbytes()
            peak = max(peak, held)
        assert 1.0 <= peak / x.nbytes <= 3.01, f'{peak / x.nbytes:.2f} times the input'   # dx itself, and twice the input
