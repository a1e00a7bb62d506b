"""Curves of losses and metrics from mmengine's ``vis_data/scalars.json``."""

import json
from collections.abc import Sequence
from pathlib import Path

COLORS = ('#2f6db5', '#d9632c', '#3b9a5f', '#8a4fb0', '#b5952f', '#c43c6b')


def find_logs(path) -> list[Path]:
    """Scalar logs at ``path``: the file itself, or a run's folder with its (possibly resumed) logs, oldest
    first.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.exists():
        raise FileNotFoundError(f'{path} does not exist; give a scalars.json or the folder of a run')
    logs = sorted(path.glob('**/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'{path} holds no vis_data/scalars.json; is it the folder of a run?')
    return logs


def read_scalars(path) -> list[dict]:
    """Rows of a run, each a dict with ``step`` and scalars, sorted by step.

    ``path`` is a ``scalars.json`` (one JSON object a line, as mmengine's LocalVisBackend writes) or a run's
    folder. Where a run was resumed, what the later log holds replaces the earlier log's rows from that step
    on. A half-written last line, of a run that was killed, is left out.
    """
    rows: list[dict] = []
    for log in find_logs(path):
        new = []
        for number, line in enumerate(log.read_text().splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if not isinstance(row, dict):
                raise ValueError(
                    f'{log}:{number} is no log line: expected one JSON object a line, '
                    'as in vis_data/scalars.json'
                )
            if 'step' not in row and 'iter' not in row:
                continue
            row['step'] = row.get('step', row.get('iter'))
            new.append(row)
        if new:
            first = min(row['step'] for row in new)
            rows = [row for row in rows if row['step'] < first] + new
    if not rows:
        raise ValueError(f'{path} holds no scalars; expected the lines of a vis_data/scalars.json')
    # sorted() is stable: a validation row stays behind the training row of the same step.
    return sorted(rows, key=lambda row: row['step'])


def available_keys(rows: Sequence[dict]) -> list[str]:
    """Names of all numeric scalars of a run."""
    return sorted({
        k
        for row in rows
        for k, v in row.items()
        if isinstance(v, (int, float)) and k not in ('step', 'iter', 'epoch')
    })


def series(rows: Sequence[dict], key: str) -> tuple[list[float], list[float]]:
    """Steps and values of ``key``; a short name ('PQ') finds the one key that ends in it ('panoptic/PQ').

    Raises KeyError naming what there is.
    """
    names = available_keys(rows)
    if key not in names:
        ends = [name for name in names if name.endswith('/' + key)]
        if len(ends) != 1:
            raise KeyError(f'no {key!r} in this log; it has: {", ".join(names)}')
        key = ends[0]
    points = [(row['step'], row[key]) for row in rows if isinstance(row.get(key), (int, float))]
    return [p[0] for p in points], [p[1] for p in points]


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average, corrected for its start."""
    out, average, norm = [], 0.0, 0.0
    for value in values:
        average = weight * average + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        out.append(average / norm)
    return out


def plot_curves(runs: dict[str, Sequence[dict]], keys: Sequence[str], out, title: str = '') -> Path:
    """Draw one panel per key, one line per run, into a PNG (or whatever ``out``'s suffix says).

    Args:
        runs: name -> rows of :func:`read_scalars`.
        keys: scalars to draw. A key that one run lacks is left out there; one that all lack raises KeyError.
    """
    # The Agg canvas by hand: no global backend is touched, no display needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(len(keys), 3)
    rows_of_panels = -(-len(keys) // columns)
    figure = Figure(figsize=(5.6 * columns, 3.9 * rows_of_panels), dpi=140, facecolor='#fafaf8', layout='constrained')
    FigureCanvasAgg(figure)
    for i, key in enumerate(keys):
        axes = figure.add_subplot(rows_of_panels, columns, i + 1)
        found = 0
        for j, (name, rows) in enumerate(runs.items()):
            try:
                steps, values = series(rows, key)
            except KeyError:
                continue
            found += 1
            draw_line(axes, steps, values, COLORS[j % len(COLORS)], name if len(runs) > 1 else None)
        if not found:
            series(next(iter(runs.values())), key)  # raises, with the names there are
        style_axes(axes, key)
        if len(runs) > 1:
            axes.legend(frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=12, color='#3a3d45', x=0.01, ha='left')
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    return out


def draw_line(axes, steps, values, color, label) -> None:
    """Dense series: pale raw values under their moving average. Sparse ones (validation): dots, the last
    value written.
    """
    if len(values) > 40:
        axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.9)
        axes.plot(steps, smooth(values, 0.9), color=color, linewidth=2, label=label)
        return
    axes.plot(
        steps,
        values,
        color=color,
        linewidth=2,
        marker='o',
        markersize=4.5,
        markeredgecolor='white',
        label=label,
    )
    axes.annotate(
        f'{values[-1]:.4g}',
        (steps[-1], values[-1]),
        xytext=(0, 8),
        textcoords='offset points',
        ha='right',
        color=color,
        fontsize=10,
        fontweight='bold',
    )


# What the numbers of mmengine's own scalars are.
UNITS = {'memory': 'MB', 'data_time': 's', 'time': 's'}


def style_axes(axes, key: str) -> None:
    axes.set_title(f'{key} ({UNITS[key]})' if key in UNITS else key, fontsize=11, color='#3a3d45', loc='left', fontweight='bold')
    axes.set_xlabel('iteration', fontsize=9, color='#787c86')
    axes.set_facecolor('#fafaf8')
    axes.grid(axis='y', color='#e3e3df', linewidth=0.8)
    axes.tick_params(colors='#787c86', labelsize=9, length=0)
    axes.margins(y=0.12)
    for side in ('top', 'right', 'left'):
        axes.spines[side].set_visible(False)
    axes.spines['bottom'].set_color('#c9c9c4')
