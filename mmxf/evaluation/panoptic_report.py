"""Panoptic results as a table to read and a JSON file to keep."""
import json
import os
from pathlib import Path


def panoptic_table(results: dict, classwise: bool = True) -> str:
    """A result of :func:`mmxf.evaluation.panoptic_quality.summarize` in percent, one row a class that occurs,
    then things, stuff, all."""
    rows = []
    if classwise:
        for stats in results['per_class'].values():
            if stats['tp'] + stats['fp'] + stats['fn']:
                tail = ' '.join(f'{stats[key]:>6}' for key in ('tp', 'fp', 'fn'))
                rows.append((stats['name'].strip(), stats, tail))
    totals = [(group, results[group], f"{results[group]['n']:>6} classes")
              for group in ('Things', 'Stuff', 'All')]
    width = max([len(name) for name, _, _ in rows + totals] + [5])
    rule = '-' * (width + 44)
    lines = [f"{'class':{width}} {'PQ':>7} {'SQ':>7} {'RQ':>7} {'TP':>6} {'FP':>6} {'FN':>6}", rule]
    for block in (rows, totals):
        for name, stats, tail in block:
            values = ' '.join(f'{100 * stats[key]:7.2f}' for key in ('pq', 'sq', 'rq'))
            lines.append(f'{name:{width}} {values} {tail}')
        if block:
            lines.append(rule)
    return '\n'.join(lines)


def write_json(path: str | os.PathLike, content: dict) -> None:
    """Writes JSON, making the folder; the file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    part.write_text(json.dumps(content, indent=1))
    os.replace(part, path)
