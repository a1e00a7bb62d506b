"""Pixel-wise instance discrimination: pixels of one segment attract, others repel (MaX-DeepLab, equation 16).

For sampled unit features f_1 .. f_K the loss of pixel j is the cross-entropy between the softmax over k of f_k.f_j / T and the
uniform distribution over the pixels of j's own segment. That is  logsumexp_k(f_k.f_j / T) - m_j.f_j / T  with m_j the mean
feature of j's segment: a gather in place of the (K, K) target matrix. The first term is walked in strips, its gradient taken on
the way, so no (K, K) matrix is ever kept.
"""
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

STRIP = 512


class _StripLogSumExp(torch.autograd.Function):
    """logsumexp over k of f_k.f_j / T for each j, weighted and summed; the weights take no gradient."""

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        values, grad = [], torch.zeros_like(features)
        for rows, row_weight in zip(features.split(STRIP), weight.split(STRIP)):
            logits = torch.mm(rows / temperature, features.t())                # (S, K)
            values.append(logits.logsumexp(-1))
            if ctx.needs_input_grad[0]:
                probs = logits.sub_(values[-1][:, None]).exp_().mul_(row_weight[:, None] / temperature)
                start = sum(len(v) for v in values[:-1])
                grad[start:start + len(rows)] += torch.mm(probs, features)
                grad.addmm_(probs.t(), rows)
        values = torch.cat(values)
        ctx.save_for_backward(grad)
        ctx.mark_non_differentiable(values)
        return (values * weight).sum(), values

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_sum: Tensor, _):
        return ctx.saved_tensors[0] * grad_sum, None, None


def pixel_discrimination_loss(features: Tensor, segments: Tensor, temperature: float = 0.3) -> Tensor:
    """Mean over sampled pixels of one image.

    Args:
        features: (K, C) float32 unit vectors of the sampled pixels.
        segments: (K,) int64, what owns each of them, -1 = void: such a pixel repels but is itself not counted.
        temperature: T.
    """
    owned = segments >= 0
    owner = torch.where(owned, segments, segments.max().clamp(min=-1) + 1)
    size = torch.bincount(owner).to(features)[owner]                                          # (K,)
    sums = features.new_zeros(int(owner.max()) + 1, features.shape[1]).index_add(0, owner, features)
    attraction = (sums[owner] * features).sum(-1) / size / temperature                        # (K,)
    # The official mean counts the pixels whose loss is not exactly zero; void ones are.
    weight = owned / owned.sum().clamp(min=1)
    repulsion, _ = _StripLogSumExp.apply(features, weight.to(features), temperature)
    return repulsion - (attraction * weight).sum()
