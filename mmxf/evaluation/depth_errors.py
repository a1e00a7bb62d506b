"""Errors of depth maps, as the literature on NYUv2, KITTI and panoramas defines them (Eigen et al., arXiv:1406.2283).

Everything is computed in float64 from arrays of any float type, in metres, over the pixels that the caller picked.
"""
from dataclasses import dataclass, fields

import numpy as np

MEASURES = ('AbsRel', 'SqRel', 'RMSE', 'RMSElog', 'd1', 'd2', 'd3')
# Predictions and targets at or below this have no logarithm that counts, as in OmniFusion's evaluation.
MIN_LOG = 1e-7


def lower_median(values: np.ndarray) -> float:
    """The median; of an even number the lower of the two in the middle, as torch's."""
    middle = (values.size - 1) // 2
    return float(np.partition(values, middle, axis=None).reshape(-1)[middle])


def median_scale(pred: np.ndarray, target: np.ndarray) -> float:
    """The factor that makes the medians of (P,) equal; 1 where the prediction's median is not positive."""
    middle = lower_median(pred)
    return lower_median(target) / middle if middle > 0 else 1.0


@dataclass
class DepthSums:
    """Weighted sums over pixels, from which every measure follows; sums of several images add up with ``+``."""

    weight: float = 0.0
    abs_rel: float = 0.0
    sq_rel: float = 0.0
    square: float = 0.0
    log_weight: float = 0.0
    log_square: float = 0.0
    d1: float = 0.0
    d2: float = 0.0
    d3: float = 0.0

    @classmethod
    def of(cls, pred: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> 'DepthSums':
        """Of predicted and true depth, (P,) each, and perhaps weights (P,).

        Raises:
            ValueError: for a prediction that is not finite, or a target that is not positive.
        """
        pred, target = np.asarray(pred, np.float64), np.asarray(target, np.float64)
        if not np.isfinite(pred).all():
            raise ValueError(f'{(~np.isfinite(pred)).sum()} of {pred.size} predicted depths are not finite')
        if not (target > 0).all():
            raise ValueError(f'{(~(target > 0)).sum()} of {target.size} true depths are not positive')
        weight = np.ones_like(target) if weight is None else np.asarray(weight, np.float64)
        error = pred - target
        with np.errstate(divide='ignore'):
            ratio = np.maximum(pred / target, target / pred)
        logs = (pred > MIN_LOG) & (target > MIN_LOG)
        within = [float(weight[ratio < 1.25 ** k].sum()) for k in (1, 2, 3)]
        return cls(float(weight.sum()), float((weight * np.abs(error) / target).sum()),
                   float((weight * error ** 2 / target).sum()), float((weight * error ** 2).sum()), float(weight[logs].sum()),
                   float((weight[logs] * (np.log(pred[logs]) - np.log(target[logs])) ** 2).sum()), *within)

    def __add__(self, other: 'DepthSums') -> 'DepthSums':
        return DepthSums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def means(self) -> dict[str, float]:
        """Of each measure its mean; of RMSE and RMSElog the mean square, before the root."""
        n, logs = self.weight, self.log_weight or np.nan
        return {'AbsRel': self.abs_rel / n, 'SqRel': self.sq_rel / n, 'RMSE': self.square / n, 'RMSElog': self.log_square / logs,
                'd1': self.d1 / n, 'd2': self.d2 / n, 'd3': self.d3 / n}

    def measures(self) -> dict[str, float]:
        """AbsRel, SqRel (metres), RMSE (metres), RMSElog, and the shares within 1.25, 1.25^2, 1.25^3."""
        return {name: value ** 0.5 if name.startswith('RMSE') else value for name, value in self.means().items()}


def row_weights(height: int, width: int) -> np.ndarray:
    """(H, W) solid angle of a panorama's pixels relative to the equator's: the cosine of the latitude of their centres."""
    latitude = ((np.arange(height) + 0.5) / height - 0.5) * np.pi
    return np.repeat(np.cos(latitude)[:, None], width, 1)
