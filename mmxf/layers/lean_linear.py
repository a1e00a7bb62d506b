"""Linear layers of transformers by the faster matrix product of the CPU.

On the CPU in float32 oneDNN multiplies instead of the BLAS that torch links, and takes GELU along in inference. On processors
where that BLAS has no code for their vectors the difference is large, elsewhere it is small. The result is the same but for
rounding. Whole blocks in training are lean_block.py's.

On a GPU and under autocast the plain operators run, which their compilers and kernels know best.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import _get_current_dispatch_mode


def is_lean(x: Tensor) -> bool:
    """Whether the special path serves this tensor. Not where operators are watched, as for counting FLOPs."""
    return x.device.type == 'cpu' and x.dtype == torch.float32 and type(x) in (Tensor, nn.Parameter) and \
        not torch.is_autocast_enabled('cpu') and not torch.compiler.is_compiling() and _get_current_dispatch_mode() is None


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled and \
        hasattr(torch.ops.mkldnn, '_linear_pointwise')


def matmul(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``x @ weight.T + bias`` outside autograd, (..., I) and (O, I) to (..., O), perhaps through an exact GELU."""
    if _has_onednn() and x.numel() >= 1 << 14:      # below, the call itself costs more than it saves
        rows = x.reshape(-1, x.shape[-1])
        kind = ('gelu', [], 'none') if gelu else ('none', [], '')
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, *kind).view(*x.shape[:-1], -1)
    out = F.linear(x, weight, bias)
    return F.gelu(out) if gelu else out


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return matmul(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        grad_x = matmul(grad, weight.t()) if ctx.needs_input_grad[0] else None
        return grad_x, grad.flatten(0, -2).t() @ x.flatten(0, -2)


class _NormLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, shift, eps, weight, bias):
        normed, mean, rstd = torch.native_layer_norm(x, scale.shape, scale, shift, eps)
        ctx.save_for_backward(x, mean, rstd, scale, shift, weight)
        return matmul(normed, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, mean, rstd, scale, shift, weight = ctx.saved_tensors
        normed = torch.addcmul(shift, (x - mean).mul_(rstd), scale)
        rows = grad.reshape(-1, grad.shape[-1])
        grad_x, grad_scale, grad_shift = torch.ops.aten.native_layer_norm_backward(
            matmul(grad, weight.t()), x, scale.shape, mean, rstd, scale, shift, [True, True, True])
        return grad_x, grad_scale, grad_shift, None, rows.t() @ normed.reshape(-1, x.shape[-1]), rows.sum(0)


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """``layer(x)``."""
    return matmul(x, layer.weight, layer.bias) if is_lean(x) and not torch.is_grad_enabled() else layer(x)


def project(x: Tensor, weight: Tensor) -> Tensor:
    """``x @ weight.T``."""
    if not is_lean(x):
        return F.linear(x, weight)
    return _Linear.apply(x, weight) if torch.is_grad_enabled() else matmul(x, weight)


def norm_linear(x: Tensor, norm: nn.LayerNorm, layer: nn.Linear) -> Tensor:
    """``layer(norm(x))``; keeps `x` alone."""
    if not is_lean(x):
        return layer(norm(x))
    if not torch.is_grad_enabled():
        return matmul(norm(x), layer.weight, layer.bias)
    return _NormLinear.apply(x, norm.weight, norm.bias, norm.eps, layer.weight, layer.bias)


def norm_mlp(x: Tensor, norm: nn.LayerNorm, first: nn.Linear, second: nn.Linear) -> Tensor:
    """``second(gelu(first(norm(x))))``."""
    if not is_lean(x) or torch.is_grad_enabled():
        return second(F.gelu(first(norm(x))))
    return matmul(matmul(norm(x), first.weight, first.bias, gelu=True), second.weight, second.bias)
