"""Sigmoid focal loss (Lin et al., arXiv 1708.02002, equation 5), class indices as targets.

Computed from log-sigmoids. mmcv's CUDA kernel takes log(max(1 - sigmoid(x), 1.2e-38)), which in float32 jumps
to 87 for logits beyond 17 where the loss is 17; the two agree below.
"""
import torch
import torch.nn.functional as F
from torch import Tensor

from .autocast import compute_dtype, without_autocast


@without_autocast
def sigmoid_focal_loss_forward(input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float,
                               alpha: float) -> None:
    """Write the loss of each logit.

    Args:
        input: (N, K) logits.
        target: (N,) int64 class; any value outside 0..K-1 is background.
        weight: (K,) by target class, or empty. Background rows weigh 1.
        output: (N, K), written.
        gamma: focusing exponent, >= 0.
        alpha: weight of the positive term, in [0, 1]; the negative has 1 - alpha.
    """
    positive, z, balance = _oriented(input, target, alpha)
    loss = balance * z.sigmoid().pow(gamma) * F.softplus(z)
    output.copy_(_weigh(loss, target, weight))


@without_autocast
def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each element of the loss by its logit into ``grad_input`` (N, K)."""
    positive, z, balance = _oriented(input, target, alpha)
    p = z.sigmoid()
    grad = balance * p.pow(gamma) * (gamma * (1 - p) * F.softplus(z) + p)
    grad = torch.where(positive, -grad, grad)
    grad_input.copy_(_weigh(grad, target, weight))


def _oriented(input: Tensor, target: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Which elements are positives, the logit turned so that larger is worse, the alpha weight; (N, K)."""
    logits = input.to(compute_dtype(input))
    positive = target.unsqueeze(1) == torch.arange(input.shape[1], device=input.device)
    z = torch.where(positive, -logits, logits)
    return positive, z, torch.where(positive, alpha, 1 - alpha).to(z)


def _weigh(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() == 0:
        return values
    known = (target >= 0) & (target < len(weight))
    by_row = weight.to(values)[target.clamp(0, len(weight) - 1)]
    return values * torch.where(known, by_row, 1).unsqueeze(1)
