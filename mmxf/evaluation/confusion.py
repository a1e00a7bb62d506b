"""Confusion matrices and what follows from them for each class."""
from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Confusion:
    """Counts of what was taken for what.

    Args:
        classes: K names.
        matrix: (K + 1, K + 1), rows are the truth, columns the prediction; the last row and column are "nothing": background that
            was taken for a class, and objects or pixels for which no class was said.
        unit: what is counted, 'pixels' or 'objects'.
    """

    classes: tuple[str, ...]
    matrix: np.ndarray
    unit: str

    def rows(self) -> list[dict]:
        """Of each class: number, recall, precision, IoU (of pixels), and what it is most often taken for, with the share.

        Shares are in percent, None where there is nothing to divide by.
        """
        hits, truth, said = np.diag(self.matrix), self.matrix.sum(1), self.matrix.sum(0)
        names = [*self.classes, 'nothing']
        found = []
        for k, name in enumerate(self.classes):
            row = {'class': name, self.unit: int(truth[k]), 'recall': _percent(hits[k], truth[k]),
                   'precision': _percent(hits[k], said[k])}
            if self.unit == 'pixels':
                row['IoU'] = _percent(hits[k], truth[k] + said[k] - hits[k])
            others = self.matrix[k].copy()
            others[k] = 0
            worst = int(others.argmax())
            row['taken for'] = names[worst] if others[worst] else ''
            row['share'] = _percent(others[worst], truth[k]) if others[worst] else None
            found.append(row)
        return found

    def table(self) -> str:
        """The rows as text."""
        rows = self.rows()
        columns = list(rows[0]) if rows else []
        cells = [[_cell(row[column]) for column in columns] for row in rows]
        widths = [max([len(column), *(len(line[i]) for line in cells)]) for i, column in enumerate(columns)]
        lines = ['  '.join(text.ljust(width) if column in ('class', 'taken for') else text.rjust(width)
                           for column, text, width in zip(columns, line, widths)) for line in [columns, *cells]]
        return '\n'.join(line.rstrip() for line in lines)

    def write(self, folder: Path | str, name: str) -> list[Path]:
        """Writes the matrix as .csv and .png and the table of classes as .csv; returns the files."""
        from mmxf.visualization.confusion import plot_confusion

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        names = [*self.classes, 'nothing']
        matrix, table = folder / f'{name}.csv', folder / f'{name}_classes.csv'
        with open(matrix, 'w', newline='', encoding='utf-8') as file:
            out = csv.writer(file)
            out.writerow(['truth \\ prediction', *names])
            out.writerows([key, *map(int, row)] for key, row in zip(names, self.matrix))
        rows = self.rows()
        with open(table, 'w', newline='', encoding='utf-8') as file:
            out = csv.DictWriter(file, list(rows[0]) if rows else ['class'])
            out.writeheader()
            out.writerows(rows)
        return [matrix, table, plot_confusion(self, folder / f'{name}.png')]


def _percent(part: float, whole: float) -> float | None:
    return round(100 * float(part) / float(whole), 2) if whole else None


def _cell(value) -> str:
    if value is None:
        return '-'
    return f'{value:,}' if isinstance(value, int) else f'{value:.2f}' if isinstance(value, float) else value


def pixel_matrix(truth: np.ndarray, prediction: np.ndarray, num_classes: int, ignore: int = 255) -> np.ndarray:
    """(K + 1, K + 1) counts of an image's pixels.

    Args:
        truth: labels; those that are no class, such as `ignore`, count for nothing.
        prediction: labels of the same shape; those that are no class count as "nothing".
        num_classes: K.
    """
    known = (truth >= 0) & (truth < num_classes) & (truth != ignore)
    said = np.where((prediction >= 0) & (prediction < num_classes), prediction, num_classes)
    counts = np.bincount(truth[known].astype(np.int64) * (num_classes + 1) + said[known], minlength=(num_classes + 1) ** 2)
    return counts.reshape(num_classes + 1, num_classes + 1)


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) and (M, 4), corners: (N, M)."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.prod(np.clip(high - low, 0, None), -1)
    area = [np.prod(np.clip(x[:, 2:] - x[:, :2], 0, None), -1) for x in (a, b)]
    return both / np.maximum(area[0][:, None] + area[1][None] - both, 1e-9)


def object_matrix(true_boxes: np.ndarray, true_labels: np.ndarray, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray,
                  num_classes: int, *, iou: float = 0.5, crowd: np.ndarray | None = None) -> np.ndarray:
    """(K + 1, K + 1) counts of an image's objects.

    Detections in the order of their scores each take the free object that they overlap most, of their own class where one
    overlaps enough, else of any. Objects that none takes were taken for nothing, detections that take none found nothing, unless
    they overlap a crowd.

    Args:
        true_boxes, boxes: (N, 4), (M, 4) corners. true_labels, labels: (N,), (M,). scores: (M,).
        iou: least overlap.
        crowd: (N,) bool, objects that count for nothing.
    """
    matrix = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    crowd = np.zeros(len(true_labels), bool) if crowd is None else crowd.astype(bool)
    overlap = box_iou(np.asarray(boxes, float).reshape(-1, 4), np.asarray(true_boxes, float).reshape(-1, 4))
    free = ~crowd
    order = np.argsort(-np.asarray(scores), kind='stable')
    taken = np.full(len(order), -1)
    for own in (True, False):       # a detection of the right class comes before a better placed one of a wrong class
        for i in order:
            fits = free & (overlap[i] >= iou) & ((true_labels == labels[i]) if own else True)
            if taken[i] < 0 and fits.any():
                taken[i] = int(np.where(fits, overlap[i], -1).argmax())
                free[taken[i]] = False
    for i in order:
        if taken[i] >= 0:
            matrix[true_labels[taken[i]], labels[i]] += 1
        elif not (crowd & (overlap[i] >= iou)).any():
            matrix[num_classes, labels[i]] += 1
    for label in true_labels[free]:
        matrix[label, num_classes] += 1
    return matrix
