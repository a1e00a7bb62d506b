"""Top-k accuracy and the confusion matrix of a classifier."""
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmxf.registry import METRICS


@METRICS.register_module()
class ClassificationMetric(BaseMetric):
    """Accuracy over all images, the mean of the classes' accuracies, and which class is taken for which.

    Args:
        topk: an image counts where its class is among the k best; k above the number of classes is left out.
        show: classes up to which the confusion matrix is printed.
        prefix: of the returned keys.
        collect_device: 'cpu' or 'gpu', how results travel between processes.

    Returns (through ``evaluate``): top1, top5, ..., mean_class in percent, and majority, what naming the most frequent class
        always would reach.
    """
    default_prefix = 'accuracy'

    def __init__(self, topk: Sequence[int] = (1, 5), *, show: int = 20, prefix: str | None = None,
                 collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.topk, self.show = tuple(topk), show
        self.matrix: np.ndarray | None = None          # of the last evaluation, (true class, predicted class)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps each image's class and its best classes."""
        for sample in data_samples:
            if 'gt_label' not in sample:
                raise KeyError(f"image {sample.get('img_path')}: the pipeline packs no gt_label to compare with")
            scores = sample['pred_scores']
            best = scores.topk(min(max(self.topk), len(scores))).indices.tolist()
            self.results.append((int(sample['gt_label']), best, len(scores)))

    def compute_metrics(self, results: list) -> dict:
        """Percentages; prints the confusion matrix of few classes."""
        truth = np.array([label for label, _, _ in results])
        best = np.array([ranking for _, ranking, _ in results])
        count = results[0][2]
        self.matrix = confusion_matrix(truth, best[:, 0], count)
        hits = best == truth[:, None]
        metrics = {f'top{k}': 100 * float(hits[:, :k].any(1).mean()) for k in self.topk if k < count or k == 1}
        seen = self.matrix.sum(1)
        metrics['mean_class'] = 100 * float((self.matrix.diagonal()[seen > 0] / seen[seen > 0]).mean())
        metrics['majority'] = 100 * float(seen.max() / seen.sum())
        if count <= self.show:
            names = (self.dataset_meta or {}).get('classes') or [str(i) for i in range(count)]
            print_log('\n' + table(self.matrix, names), logger='current')
        return metrics


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """(N,) and (N,) classes to (K, K) counts: row the true class, column the predicted one."""
    return np.bincount(truth * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def table(matrix: np.ndarray, names: Sequence[str]) -> str:
    """The matrix as text: a row a true class, with its accuracy at the end."""
    width = max(6, *(len(name) for name in names))
    head = ' ' * (width + 2) + ' '.join(f'{name:>{width}}' for name in names) + '   correct'
    rows = [f'{name:>{width}}: ' + ' '.join(f'{n:>{width}}' for n in row)
            + (f'  {100 * row[i] / row.sum():7.1f}%' if row.sum() else '        -')
            for i, (name, row) in enumerate(zip(names, matrix))]
    return '\n'.join(['confusion matrix (row: true class, column: predicted)', head, *rows])
