"""Sigmoid focal loss (Lin et al., arXiv 1708.02002, equation 5), class indices as targets.

Computed from log-sigmoids. mmcv's CUDA kernel takes log(max(1 - sigmoid(x), 1.2e-38)), which in float32 jumps to 87 for
logits beyond 17 where the loss is 17; the two agree below.
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
        target: (N,) int64 in [0, K]; any other value than 0..K-1 is background.
        weight: (K,) by target class, or empty. Background rows weigh 1.
        output: (N, K), written.
        gamma: focusing exponent, >= 0.
        alpha: weight of the positive term, in [0, 1]; the negative has 1 - alpha.
    """
    logits = input.to(compute_dtype(input))
    loss = (1 - alpha) * logits.sigmoid().pow(gamma) * F.softplus(logits)
    rows, classes = _positives(target, logits.shape[1])
    chosen = logits[rows, classes]
    loss[rows, classes] = alpha * (-chosen).sigmoid().pow(gamma) * F.softplus(-chosen)
    output.copy_(_weigh(loss, target, weight))


@without_autocast
def sigmoid_focal_loss_backward(input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float,
                                alpha: float) -> None:
    """Write the derivative of each element of the loss by its logit into ``grad_input`` (N, K)."""
    logits = input.to(compute_dtype(input))
    p = logits.sigmoid()
    grad = (1 - alpha) * p.pow(gamma) * (gamma * (1 - p) * F.softplus(logits) + p)
    rows, classes = _positives(target, logits.shape[1])
    chosen = logits[rows, classes]
    p, q = chosen.sigmoid(), (-chosen).sigmoid()
    grad[rows, classes] = -alpha * q.pow(gamma) * (gamma * p * F.softplus(-chosen) + q)
    grad_input.copy_(_weigh(grad, target, weight))


def _positives(target: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    rows = ((target >= 0) & (target < num_classes)).nonzero().squeeze(1)
    return rows, target[rows]


def _weigh(values: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    if weight.numel() == 0:
        return values
    known = (target >= 0) & (target < len(weight))
    by_row = weight.to(values)[target.clamp(0, len(weight) - 1)]
    return values * torch.where(known, by_row, 1).unsqueeze(1)
