"""Losses of dense depth, over the pixels where depth is known.

A prediction and its target are (B, 1, H, W) in metres. The mask, (B, 1, H, W) bool, says where the target is known. Images
without a known pixel count nothing. `weight`, broadcast to (B, 1, H, W), weighs pixels, for instance by their solid angle.
"""
import torch
from torch import Tensor, nn

from mmxf.registry import MODELS


def _mean_over_images(loss: Tensor, mask: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over each image's known pixels, then over the images that have some."""
    share = mask.to(loss.dtype) if weight is None else mask * weight.to(loss.dtype)
    count = share.flatten(1).sum(1)
    # `where`, not a product: what stands beside the mask may be infinite.
    total = torch.where(mask, loss, 0).mul(share).flatten(1).sum(1)
    return (total / count.clamp(min=1e-12)).sum() / (count > 0).sum().clamp(min=1)


def berhu(pred: Tensor, target: Tensor, mask: Tensor, *, threshold: float = 0.2, threshold_inside: bool = True,
          weight: Tensor | None = None) -> Tensor:
    """Reverse Huber loss (Laina et al., arXiv:1606.00373, equation 2): absolute up to c, beyond it (error^2 + c^2) / 2 c.

    Args:
        pred, target, mask, weight: see above.
        threshold: c, as a part of the batch's largest absolute error.
        threshold_inside: whether that is the largest among known pixels. OmniFusion's code takes all pixels, with a target of 0
            where none is known.
    """
    error = (pred - target).abs()
    seen = torch.where(mask, error, 0) if threshold_inside else error
    c = (threshold * seen.detach().max()).clamp(min=1e-12)
    return _mean_over_images(torch.where(error <= c, error, (error ** 2 + c ** 2) / (2 * c)), mask, weight)


def silog(pred: Tensor, target: Tensor, mask: Tensor, *, variance_focus: float = 0.85, scale: float = 10.,
          min_depth: float = 1e-3, weight: Tensor | None = None) -> Tensor:
    """Scale-invariant logarithmic loss (Eigen et al., arXiv:1406.2283; scaled root of it as in BTS, arXiv:1907.10326).

    ``scale * sqrt(mean(d^2) - variance_focus * mean(d)^2)``, d the difference of logarithms, over the known pixels of the batch.

    Args:
        pred, target, mask, weight: see above.
        variance_focus: 1 forgives a wrong scale altogether, 0 not at all.
        scale: factor.
        min_depth: smaller predictions count as this, metres.
    """
    share = mask.to(pred.dtype) if weight is None else mask * weight.to(pred.dtype)
    known = torch.where(mask, target, 1).clamp(min=min_depth)
    difference = torch.where(mask, pred.clamp(min=min_depth).log() - known.log(), 0)
    count = share.sum().clamp(min=1e-12)
    mean, square = (difference * share).sum() / count, (difference ** 2 * share).sum() / count
    # The root's slope at 0 is infinite.
    return scale * (square - variance_focus * mean ** 2).clamp(min=1e-12).sqrt()


def masked_l1(pred: Tensor, target: Tensor, mask: Tensor, *, weight: Tensor | None = None) -> Tensor:
    """Mean absolute error; arguments see above."""
    return _mean_over_images((pred - target).abs(), mask, weight)


class _DepthLoss(nn.Module):
    """A loss with its weight in the sum; arguments of `function` by name."""

    function = None

    def __init__(self, loss_weight: float = 1.0, **kwargs) -> None:
        super().__init__()
        self.loss_weight, self.kwargs = loss_weight, kwargs

    def forward(self, pred: Tensor, target: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
        """A scalar, float32 (of float64 predictions float64)."""
        dtype = torch.float64 if pred.dtype == torch.float64 else torch.float32
        return self.loss_weight * type(self).function(pred.to(dtype), target.to(dtype), mask, weight=weight, **self.kwargs)


@MODELS.register_module()
class BerHuLoss(_DepthLoss):
    """See `berhu`.

    Args:
        loss_weight: factor. threshold, threshold_inside: see there.
    """
    function = staticmethod(berhu)

    def __init__(self, loss_weight: float = 1.0, *, threshold: float = 0.2, threshold_inside: bool = True) -> None:
        super().__init__(loss_weight, threshold=threshold, threshold_inside=threshold_inside)


@MODELS.register_module()
class SiLogLoss(_DepthLoss):
    """See `silog`.

    Args:
        loss_weight: factor. variance_focus, scale, min_depth: see there.
    """
    function = staticmethod(silog)

    def __init__(self, loss_weight: float = 1.0, *, variance_focus: float = 0.85, scale: float = 10.,
                 min_depth: float = 1e-3) -> None:
        super().__init__(loss_weight, variance_focus=variance_focus, scale=scale, min_depth=min_depth)


@MODELS.register_module()
class MaskedL1Loss(_DepthLoss):
    """See `masked_l1`.

    Args:
        loss_weight: factor.
    """
    function = staticmethod(masked_l1)

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)
