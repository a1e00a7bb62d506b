"""Pixel-wise instance discrimination: pixels of one segment attract, others repel (MaX-DeepLab, equation 16).

For sampled unit features f_1 .. f_K the loss of pixel j is the cross-entropy between the softmax over k of f_k.f_j / T and the
uniform distribution over the pixels of j's own segment. That is  logsumexp_k(f_k.f_j / T) - m_j.f_j / T  with m_j the mean
feature of j's segment: a gather in place of the (K, K) target matrix. The matrix of f_k.f_j is symmetric, so half of it is
made, in blocks; the gradient follows from the same blocks, and none is kept for the backward pass.
"""
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK = 512


class _LogSumExp(torch.autograd.Function):
    """Sum over j of weight_j * logsumexp over k of f_k.f_j / T; the weights take no gradient."""

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, temperature: float) -> Tensor:
        parts = features.split(BLOCK)
        # Unit vectors: no entry exceeds 1 / T, so one shift serves all rows.
        shift = 1 / temperature
        sums = [row.new_zeros(len(row)) for row in parts]
        blocks = {}
        for i, rows in enumerate(parts):
            rows = rows * shift
            for j in range(i, len(parts)):
                block = torch.mm(rows, parts[j].t()).sub_(shift).exp_()              # (S, S)
                sums[i] += block.sum(1)
                if j > i:
                    sums[j] += block.sum(0)
                if ctx.needs_input_grad[0]:
                    blocks[i, j] = block
        total = torch.cat(sums)
        if ctx.needs_input_grad[0]:
            grad = torch.zeros_like(features)
            # d / d f_j = sum over k of exp(..) (a_j + a_k) f_k with a = weight / (T * sum).
            factors, grads = (weight * shift / total).split(BLOCK), grad.split(BLOCK)
            for (i, j), block in blocks.items():
                block *= factors[i][:, None] + factors[j][None]
                grads[i].addmm_(block, parts[j])
                if j > i:
                    grads[j].addmm_(block.t(), parts[i])
            ctx.save_for_backward(grad)
        return ((total.log() + shift) * weight).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_sum: Tensor):
        return ctx.saved_tensors[0] * grad_sum, None, None


def pixel_discrimination_loss(features: Tensor, segments: Tensor, temperature: float = 0.3) -> Tensor:
    """Mean over sampled pixels of one image.

    Args:
        features: (K, C) float32 unit vectors of the sampled pixels (or shorter ones, as a resize makes them).
        segments: (K,) int64, what owns each of them, -1 = void: such a pixel repels but is itself not counted.
        temperature: T.
    """
    owned = segments >= 0
    owner = torch.where(owned, segments, segments.max().clamp(min=-1) + 1)
    size = torch.bincount(owner).to(features)[owner]                                          # (K,)
    sums = features.new_zeros(int(owner.max()) + 1, features.shape[1]).index_add(0, owner, features)
    # index_select, whose gradient adds up in order; that of sums[owner] adds with several threads in any.
    attraction = (sums.index_select(0, owner) * features).sum(-1) / size / temperature        # (K,)
    # The official mean counts the pixels whose loss is not exactly zero; void ones are.
    weight = owned.to(features) / owned.sum().clamp(min=1)
    return _LogSumExp.apply(features, weight, temperature) - (attraction * weight).sum()
