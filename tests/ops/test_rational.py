"""The rational function on the CPU: by hand, against an independent expression, and its promises about types, shapes, memory."""
import pytest
import rational_cases
import torch

from mmxf.ops import rational_torch
from mmxf.ops.rational import rational


@pytest.fixture(autouse=True, params=['numba', 'torch'])
def path(request, monkeypatch):
    """Both paths of the CPU."""
    if request.param == 'numba':
        pytest.importorskip('numba')
    else:
        monkeypatch.setattr('mmxf.ops.rational._cpu_kernels', lambda *orders: rational_torch)


def by_autograd(x, numerator, denominator, dim):
    """Term by term in plain torch; the sign of 0 is +1 by torch.where."""
    groups = max(len(numerator), len(denominator))
    x = x.movedim(dim, -1)
    wide = x.reshape(*x.shape[:-1], groups, -1)
    size = torch.where(wide < 0, -wide, wide)
    weights = torch.where(denominator < 0, -denominator, denominator)
    top = sum(numerator[:, k, None].expand(groups, 1) * wide**k for k in range(numerator.shape[1]))
    bottom = 1 + sum(weights[:, k, None].expand(groups, 1) * size**(k + 1) for k in range(denominator.shape[1]))
    return (top / bottom).reshape(x.shape).movedim(-1, dim)


def gradients(function, tensors, grad):
    leaves = [t.detach().requires_grad_() for t in tensors]
    y = function(*leaves)
    return (y.detach(), *torch.autograd.grad(y, leaves, grad.to(y.dtype)))


def close(got, wanted, tolerance):
    for one, other in zip(got, wanted):
        assert one.shape == other.shape
        assert (one.double() - other.double()).abs().max() <= tolerance * other.abs().max()


def test_values_by_hand():
    # (1 + 2 * 2) / (1 + |-0.5| * 2) = 2.5; (1 - 2 * 2) / (1 + 0.5 * 2) = -1.5
    x = torch.tensor([[2.0, -2.0]], requires_grad=True)
    a, b = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.tensor([[-0.5]], requires_grad=True)
    y = rational(x, a, b)
    assert y.tolist() == [[2.5, -1.5]]
    y.sum().backward()
    # dF/dx = (2 - F * dQ/dx) / Q with dQ/dx = +-0.5, Q = 2
    assert x.grad.tolist() == [[(2 - 2.5 * 0.5) / 2, (2 - 1.5 * 0.5) / 2]]
    assert a.grad.tolist() == [[1.0, 0.0]]              # sum of 1 / Q, of x / Q
    assert b.grad.tolist() == [[1.0]]                   # sum of -F / Q * |x| * sign(b) = (2.5 - 1.5) / 2 * 2


@pytest.mark.parametrize('name', rational_cases.CASES)
def test_closed_form_gradients(name):
    *tensors, grad = rational_cases.case(name, torch.float64)
    dim = rational_cases.CASES[name][1]
    close(gradients(lambda *t: rational(*t, channel_dim=dim), tensors, grad),
          gradients(lambda *t: by_autograd(*t, dim), tensors, grad), 1e-12)


def test_an_identity_start_learns():
    # b = 0: the gradient of |b| at 0 counts as +1, else the denominator would never leave 0.
    x = torch.randn(4, 16)
    a, b = torch.tensor([[0.0, 1, 0, 0, 0, 0]]), torch.zeros(8, 4, requires_grad=True)
    rational(x, a, b).sum().backward()
    wanted = -torch.stack([(x.view(4, 8, 2) * x.view(4, 8, 2).abs()**k).sum((0, 2)) for k in (1, 2, 3, 4)], 1)
    torch.testing.assert_close(b.grad, wanted)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_computes_in_float32(dtype):
    x, a, b, grad = rational_cases.case('kat', dtype)
    got = gradients(rational, (x, a, b), grad)
    assert [t.dtype for t in got] == [dtype, dtype, torch.float32, torch.float32]
    wanted = gradients(rational, (x.float(), a, b), grad.float())
    close(got[:2], [t.to(dtype) for t in wanted[:2]], 1e-7)
    close(got[2:], wanted[2:], 1e-6)


def test_blocks_do_not_show(monkeypatch):
    # Sizes around the limits of blocks: one, several, a last one that is smaller.
    monkeypatch.setattr('mmxf.ops.rational_torch.BLOCK', 512)
    monkeypatch.setattr('mmxf.ops.rational_numba.PART', 64)
    monkeypatch.setattr('mmxf.ops.rational_numba.BLOCK', 512)
    for shape, dim in (((1, 3, 24), -1), ((100, 24), -1), ((67, 3, 24), -1), ((3, 8, 50, 61), 1), ((1, 2, 5000), 1)):
        x = torch.randn(shape, dtype=torch.float64)
        a, b = torch.randn(1, 6, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
        grad = torch.randn_like(x)
        close(gradients(lambda *t, dim=dim: rational(*t, channel_dim=dim), (x, a, b), grad),
              gradients(lambda *t, dim=dim: by_autograd(*t, dim), (x, a, b), grad), 1e-12)


def test_gradients_are_the_same_bits_in_every_run():
    x, grad = torch.randn(2, 8, 197, 192)
    a, b = torch.randn(1, 6), torch.randn(8, 4)
    first = gradients(rational, (x, a, b), grad)
    for _ in range(3):
        assert all(torch.equal(one, other) for one, other in zip(first, gradients(rational, (x, a, b), grad)))


def test_strides_do_not_matter():
    a, b = torch.randn(1, 6), torch.randn(4, 4)
    grad = torch.randn(5, 3, 8)
    x = torch.randn(5, 3, 8)
    for view in (x.transpose(0, 1).contiguous().transpose(0, 1), torch.cat([x, x], -1)[..., :8], x[:, :1].expand(5, 3, 8)):
        assert not view.is_contiguous()
        close(gradients(rational, (view, a, b), grad), gradients(rational, (view.contiguous(), a, b), grad), 1e-6)
    image = torch.randn(2, 8, 5, 6)
    last = image.contiguous(memory_format=torch.channels_last)
    one, other = (gradients(lambda *t: rational(*t, channel_dim=1), (i, a, b), torch.ones(())
                            .expand(2, 8, 5, 6)) for i in (image, last))
    close(one, other, 1e-6)
    assert rational(last, a, b, 1).is_contiguous(memory_format=torch.channels_last)


def test_empty_input():
    x = torch.zeros(0, 5, 16, requires_grad=True)
    a = torch.ones(1, 6, requires_grad=True)
    rational(x, a, torch.ones(8, 4)).sum().backward()
    assert x.grad.shape == (0, 5, 16) and not a.grad.any()


def test_compiles_without_graph_breaks():
    x, a, b, grad = rational_cases.case('kat')
    torch._dynamo.reset()
    # "aot_eager": the whole of tracing and differentiation; the last step, making C++, needs a compiler.
    compiled = torch.compile(rational, fullgraph=True, backend='aot_eager')
    close(gradients(compiled, (x, a, b), grad), gradients(rational, (x, a, b), grad), 1e-5)


@pytest.mark.parametrize('name', rational_cases.CASES)
def test_what_compilers_are_given(name):
    """The expressions that stand in for the blocks under torch.compile."""
    *tensors, grad = rational_cases.case(name, torch.float64)
    dim = rational_cases.CASES[name][1]
    groups, inner = rational_cases.inner_of(name)

    def fused(x, a, b):
        return rational_torch.Fused.apply(x, a.expand(groups, -1), b.expand(groups, -1), inner)

    close(gradients(fused, tensors, grad), gradients(lambda *t: by_autograd(*t, dim), tensors, grad), 1e-12)


def test_gradients_of_gradients_are_refused():
    x = torch.randn(2, 8, requires_grad=True)
    first, = torch.autograd.grad(rational(x, torch.ones(1, 3), torch.ones(1, 2)).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='no gradients of gradients'):
        first.sum().backward()


@pytest.mark.parametrize(('x', 'a', 'b', 'dim', 'error', 'words'), [
    (torch.zeros(2, 10), (1, 6), (8, 4), -1, ValueError, '10 channels cannot be parted into 8 groups'),
    (torch.zeros(2, 12), (3, 6), (4, 4), -1, ValueError, 'numerator has 3 groups and denominator 4'),
    (torch.zeros(2, 8), (6,), (8, 4), -1, ValueError, r'numerator must be \(G, M \+ 1\)'),
    (torch.zeros(2, 8, 4, 4), (1, 6), (8, 4), 2, ValueError, 'channel_dim must be -1 or 1'),
    (torch.zeros(2, 8, dtype=torch.int64), (1, 6), (8, 4), -1, TypeError, 'floating-point'),
])
def test_bad_input_is_named(x, a, b, dim, error, words):
    with pytest.raises(error, match=words):
        rational(x, torch.zeros(a), torch.zeros(b), dim)


def test_temporaries_stay_below_twice_the_input():
    from torch.profiler import ProfilerActivity, profile

    x, grad = torch.randn(2, 64, 197, 192)
    a, b = torch.randn(1, 6), torch.randn(8, 4)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as log:
        rational_torch.backward(x, grad, a.expand(8, -1), b, 24)
    held = peak = 0
    for event in sorted((e for e in log.profiler.kineto_results.events() if e.name() == '[memory]'),
                        key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    # dx itself, and at most twice the input besides.
    assert 1.0 <= peak / x.nbytes <= 3.0, f'{peak / x.nbytes:.2f} times the input'
