"""Errors of depth maps over a data set."""
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric

from mmxf.registry import METRICS

from ..depth_errors import MEASURES, DepthSums, median_scale, row_weights


@METRICS.register_module()
class DepthMetric(BaseMetric):
    """AbsRel, SqRel, RMSE, RMSElog, d1, d2, d3 of samples with ``pred_depth`` and ``gt_depth`` (1, H, W), metres, 0 unknown.

    Args:
        align: 'median' scales predictions so that the medians agree; None takes them as metres.
        align_over: 'image', or 'batch': one factor for all images of a batch, as OmniFusion's evaluation (batches of 2).
        average: 'images': the mean of the images' numbers; 'pixels': over all pixels of the set, roots at the end, as
            OmniFusion's evaluation.
        min_depth, max_depth: metres; only true depths above the one and up to the other count. None: all that are known.
        clip: predictions are brought into that range before they are scored (after alignment), as usual on NYUv2 and KITTI.
        spherical: pixels of panoramas count by their solid angle (medians do not).
        measures: which of the seven.
        collect_device, prefix: mmengine's.

    Raises:
        ValueError: for unknown names, or a clip without a range.
    """

    default_prefix = 'depth'

    def __init__(self, align: str | None = 'median', align_over: str = 'image', average: str = 'images',
                 min_depth: float | None = None, max_depth: float | None = None, clip: bool = False, spherical: bool = False,
                 measures: Sequence[str] = MEASURES, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = set(measures) - set(MEASURES)
        if unknown:
            raise ValueError(f'DepthMetric knows the measures {", ".join(MEASURES)}; got {", ".join(sorted(unknown))}')
        if align not in (None, 'median') or align_over not in ('image', 'batch') or average not in ('images', 'pixels'):
            raise ValueError("align must be 'median' or None, align_over 'image' or 'batch', average 'images' or 'pixels'; got "
                             f'{align!r}, {align_over!r}, {average!r}')
        if clip and (min_depth is None or max_depth is None):
            raise ValueError('clip=True needs min_depth and max_depth')
        self.align, self.align_over, self.average = align, align_over, average
        self.min_depth, self.max_depth, self.clip, self.spherical = min_depth, max_depth, clip, spherical
        self.measures = tuple(measures)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps the sums of each image."""
        picked = [self._pick(sample) for sample in data_samples]
        scales = [1.0] * len(picked)
        if self.align and self.align_over == 'batch':
            scales = [median_scale(*(np.concatenate([p[i] for p in picked]) for i in (0, 1)))] * len(picked)
        elif self.align:
            scales = [median_scale(pred, target) for pred, target, _ in picked]
        batch = min(str(sample.get('img_id', sample.get('img_path'))) for sample in data_samples)
        for sample, scale, (pred, target, weight) in zip(data_samples, scales, picked):
            pred = pred * scale
            if self.clip:
                pred = pred.clip(self.min_depth, self.max_depth)
            try:
                sums = DepthSums.of(pred, target, weight)
            except ValueError as error:
                raise ValueError(f'{_name(sample)}: {error}') from None
            self.results.append((str(sample.get('img_id', sample.get('img_path'))), batch, sums))

    def _pick(self, sample: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Prediction, target and weights of the pixels that count, (P,) each."""
        pred, target = (np.asarray(sample[key]['data'].detach().float().cpu(), np.float64)[0]
                        for key in ('pred_depth', 'gt_depth'))
        if pred.shape != target.shape:
            raise ValueError(f'{_name(sample)}: predicted depth is {pred.shape}, true depth {target.shape}')
        known = target > (0 if self.min_depth is None else self.min_depth)
        if self.max_depth is not None:
            known &= target <= self.max_depth
        if not known.any():
            raise ValueError(f'{_name(sample)}: no pixel has a true depth'
                             + (f' between {self.min_depth} and {self.max_depth} m' if self.max_depth else ''))
        return pred[known], target[known], row_weights(*target.shape)[known] if self.spherical else None

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The measures by name."""
        unique = {name: (batch, sums) for name, batch, sums in results}              # padding repeats images
        if self.average == 'images':
            rows = [sums.measures() for _, sums in unique.values()]
            return {m: float(np.mean([row[m] for row in rows])) for m in self.measures}
        batches: dict[str, DepthSums] = {}
        for batch, sums in unique.values():
            batches[batch] = batches.get(batch, DepthSums()) + sums
        total = sum(sums.weight for sums in batches.values())
        # Pixels without a logarithm leave the mean of their batch, not the batch's weight, as officially.
        means = {m: sum(sums.weight * sums.means()[m] for sums in batches.values()) / total for m in MEASURES}
        return {m: float(means[m] ** 0.5 if m.startswith('RMSE') else means[m]) for m in self.measures}


def _name(sample: dict) -> str:
    return str(sample.get('depth_path') or sample.get('img_path') or f'sample {sample.get("img_id")}')
