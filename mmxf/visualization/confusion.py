"""A confusion matrix as a picture."""
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from mmxf.evaluation.confusion import Confusion

WRITTEN = 25        # classes up to which every share is written into its field
SHOWN = 60          # classes that are drawn; of more those that are confused most


def plot_confusion(confusion: Confusion, path: Path | str) -> Path:
    """Draws the shares of each row in percent: rows are the truth, columns what was said."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matrix, names = confusion.matrix.astype(float), [*confusion.classes, 'nothing']
    title = f'{confusion.unit}, percent of each row'
    if len(names) > SHOWN:
        wrong = matrix.sum(0) + matrix.sum(1) - 2 * np.diag(matrix)
        kept = np.sort(np.argsort(-wrong)[:SHOWN])
        matrix, names = matrix[np.ix_(kept, kept)], [names[i] for i in kept]
        title += f'; the {SHOWN} of {len(confusion.classes)} classes that are confused most'
    shares = 100 * matrix / np.maximum(matrix.sum(1, keepdims=True), 1e-9)
    side = max(4.5, 0.42 * len(names) + 1.8)
    figure = Figure(figsize=(side + 1, side), dpi=120, facecolor='#fafaf8', layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap='Blues', vmin=0, vmax=100)
    axes.set_xticks(range(len(names)), names, rotation=60, ha='right', rotation_mode='anchor', fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel('prediction', fontsize=9, color='#787c86')
    axes.set_ylabel('truth', fontsize=9, color='#787c86')
    axes.set_title(title, fontsize=10, color='#3a3d45', loc='left')
    for side_name in axes.spines:
        axes.spines[side_name].set_visible(False)
    axes.tick_params(length=0)
    if len(names) <= WRITTEN:
        for i, j in np.argwhere(shares >= 0.5):
            axes.text(j, i, f'{shares[i, j]:.0f}', ha='center', va='center', fontsize=7,
                      color='white' if shares[i, j] > 55 else '#26282e')
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
