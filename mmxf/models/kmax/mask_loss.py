"""Softmax mask loss and dice, fused with the resize of the logits, with closed-form gradients.

Written plainly, each of the seven predictions keeps several (Q, H, W) tensors at the size of the final masks until the
backward pass. Each query's target is an indicator of its segment, so sums against it are gathers; and the gradient of both losses
follows from the probabilities at once, so it is taken in the forward pass, brought back to the size of the logits, and only
that is kept.
"""
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _MaskLosses(torch.autograd.Function):
    """Losses of one image; see `mask_losses`."""

    @staticmethod
    def forward(ctx, logits: Tensor, pixel_query: Tensor, area: Tensor, weight: Tensor, size: tuple[int, int],
                align_corners: bool) -> tuple[Tensor, Tensor]:
        low_size, num_queries = logits.shape[-2:], logits.shape[1]
        # Queries last in memory; the batch's stride, of which nothing depends but torch's guess of that order, made anew.
        x = logits[0].permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
        resized = tuple(size) != tuple(low_size)
        if resized:
            x = F.interpolate(x, size=size, mode='bilinear', align_corners=align_corners)
        rows = x[0].permute(1, 2, 0).flatten(0, 1)                         # (P, Q)
        labelled = pixel_query >= 0
        target = pixel_query.clamp(min=0)[:, None]                         # (P, 1)

        log_probs = rows.log_softmax(-1)
        entropy = -log_probs.gather(1, target).squeeze(1) * labelled       # (P,)
        probs = log_probs.exp_()
        # The official mean counts the pixels whose loss is not exactly zero.
        count = (entropy != 0).sum().clamp(min=1)
        mask_loss = entropy.sum() / count

        probs *= labelled[:, None]
        own = probs.gather(1, target)                                      # (P, 1): probability of the right query
        hits = torch.zeros_like(area).index_add_(0, target.squeeze(1), own.squeeze(1))     # (Q,)
        total = probs.sum(0) + area + 1
        twice = 2 * hits + 1
        scale = 0.75 / num_queries * weight
        dice = (scale * (1 - twice / total)).sum()

        ctx.grads = None
        if ctx.needs_input_grad[0]:
            grads = []
            # d dice / d p = u_q everywhere, + v_q on the query's own pixels; then through the softmax.
            u, v = scale * twice / total.square(), -2 * scale / total
            own_v = own * v[target]                                        # (P, 1)
            mean = torch.mv(probs, u)[:, None] + own_v
            grad_dice = torch.sub(u, mean).mul_(probs)
            grad_dice.scatter_add_(1, target, own_v)
            grad_mask = probs.div_(count).scatter_add_(1, target, (labelled.to(probs) / -count)[:, None])
            for grad in (grad_mask, grad_dice):
                grad = grad.unflatten(0, size)                             # (H, W, Q)
                if resized:
                    grad = _gather_to(grad, low_size, align_corners)
                grads.append(grad[None].permute(0, 3, 1, 2))
            ctx.grads = grads
        return mask_loss, dice

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_mask: Tensor, grad_dice: Tensor):
        grad = ctx.grads[0] * grad_mask + ctx.grads[1] * grad_dice
        return grad, None, None, None, None, None


def _gather_to(grad: Tensor, low_size: tuple[int, int], align_corners: bool) -> Tensor:
    """Gradient (H, W, Q) of a resized map to the gradient (h, w, Q) of the map: a product along each axis.

    A bilinear resize is one small matrix per axis; its transposes keep Q last, where torch's own backward pass would
    first copy everything to another order.
    """
    down, across = (F.interpolate(torch.eye(low, device=grad.device, dtype=grad.dtype)[None], size=high, mode='linear',
                                  align_corners=align_corners)[0]
                    for low, high in zip(low_size, grad.shape))            # (h, H), (w, W)
    rows = torch.mm(down, grad.flatten(1)).unflatten(1, grad.shape[1:])    # (h, W, Q)
    return torch.matmul(across, rows)


def mask_losses(logits: Tensor, pixel_query: Tensor, area: Tensor, weight: Tensor,
                size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Softmax cross-entropy over queries per pixel, and dice per query, of one image.

    Args:
        logits: (1, Q, h, w) float32; resized to size, corners aligned when its height is odd.
        pixel_query: (H * W,) int64, query that owns each pixel, -1 = void (counted nowhere).
        area: (Q,) float32, pixels of each query's segment.
        weight: (Q,) float32, weight of each query's dice term, 0 for unmatched ones.
        size: (H, W) of the targets.

    Returns:
        The mask loss, a mean over pixels, and the dice loss, 0.75 / Q times the weighted sum over queries.
    """
    return _MaskLosses.apply(logits, pixel_query, area, weight, tuple(size), size[0] % 2 == 1)
