"""The Triton kernels: in Triton's interpreter on the CPU, compiled for a GPU's instructions, and on a GPU where there is one."""
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rational_cases
import torch

from mmxf.ops import rational_torch

CASES = [(name, 'float32') for name in rational_cases.CASES] + [('kat', kind) for kind in ('float64', 'bfloat16', 'float16')]
# Relative to the largest value. The interpreter truncates to bfloat16 where a GPU rounds.
TOLERANCE = dict(float32=1e-5, float64=1e-12, bfloat16=2**-7, float16=2**-11)


@pytest.fixture(scope='module')
def interpreted(tmp_path_factory):
    pytest.importorskip('triton', minversion='3.3')    # older ones are not used (mmxf.ops.rational)
    target = tmp_path_factory.mktemp('rational') / 'kernels.npz'
    # Triton decides at its import whether it interprets, so a process of its own.
    done = subprocess.run([sys.executable, rational_cases.__file__, str(target)], capture_output=True, text=True,
                          env=dict(os.environ, TRITON_INTERPRET='1'))
    assert done.returncode == 0, done.stderr[-3000:]
    return np.load(target)


def reference(name: str, dtype: torch.dtype) -> dict[str, np.ndarray]:
    """The torch path in float64, on the inputs as `dtype` rounds them."""
    groups, inner = rational_cases.inner_of(name)
    x, a, b, grad = (t.double() for t in rational_cases.case(name, dtype))
    a, b = a.expand(groups, -1), b.expand(groups, -1)
    values = (rational_torch.forward(x, a, b, inner), *rational_torch.backward(x, grad, a, b, inner))
    return {key: value.numpy() for key, value in zip(('y', 'dx', 'da', 'db'), values)}


@pytest.mark.parametrize(('name', 'kind'), CASES)
def test_kernels_give_the_torch_path_s_numbers(interpreted, name, kind):
    for key, wanted in reference(name, getattr(torch, kind)).items():
        got = interpreted[f'{name}/{kind}/{key}']
        limit = TOLERANCE[kind] if key in ('y', 'dx') or kind == 'float64' else TOLERANCE['float32']
        assert np.abs(got - wanted).max() <= limit * np.abs(wanted).max(), key


def test_kernels_compile_for_a_gpu(tmp_path):
    """Through Triton's compiler to PTX: 16 bytes at a time, no atomics. Needs no GPU."""
    pytest.importorskip('triton', minversion='3.3')    # older ones are not used (mmxf.ops.rational)
    done = subprocess.run([sys.executable, str(Path(__file__).with_name('rational_compile.py'))], capture_output=True,
                          text=True, env=dict(os.environ, TRITON_INTERPRET='0', TRITON_CACHE_DIR=str(tmp_path)))
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
@pytest.mark.parametrize(('name', 'kind'), CASES)
def test_operator_on_a_gpu(name, kind):
    from mmxf.ops.rational import rational

    tensors = [t.cuda() for t in rational_cases.case(name, getattr(torch, kind))]
    leaves = [t.requires_grad_() for t in tensors[:3]]
    dim = rational_cases.CASES[name][1]
    results = []
    for _ in range(2):
        y = rational(*leaves, channel_dim=dim)
        results.append((y, *torch.autograd.grad(y, leaves, tensors[3])))
    assert all(torch.equal(one, two) for one, two in zip(*results)), 'not the same bits in every run'
    wanted = reference(name, getattr(torch, kind))
    groups, _ = rational_cases.inner_of(name)
    for key, got, leaf in zip(('y', 'dx', 'da', 'db'), results[0], (None, None, *leaves[1:])):
        expected = wanted[key]
        if leaf is not None and len(leaf) < groups:
            expected = expected.sum(0, keepdims=True)
        limit = TOLERANCE[kind] if key in ('y', 'dx') or kind == 'float64' else TOLERANCE['float32']
        assert np.abs(got.detach().double().cpu().numpy() - expected).max() <= 2 * limit * np.abs(expected).max(), key
