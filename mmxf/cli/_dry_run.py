"""What ``train --dry-run`` prints."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from typing import Any


def prepare(cfg: Any) -> str:
    """Sends the run's files to a folder that is removed at the end, and starts no service that logs; returns the folder."""
    folder = tempfile.mkdtemp(prefix='mmxf_dry_run_')
    cfg.work_dir = folder
    cfg.vis_backends = [dict(type='LocalVisBackend')]
    if cfg.get('visualizer'):
        cfg.visualizer.vis_backends = cfg.vis_backends
    return folder


def run(runner: Any, folder: str) -> None:
    """The dry run, and its report on the first process."""
    from mmxf.engine.dry_run import dry_run

    try:
        found = dry_run(runner)
        if runner.rank == 0:
            print(report(found))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(found: Any) -> str:
    """The text, from a :class:`mmxf.engine.dry_run.DryRun`."""
    megabytes = {name: f'{size / 2**20:.1f} MB' for name, size in found.memory.items()}
    total = sum(found.memory.values()) / 2**20
    rate, initial = found.rates
    loading = found.sample * found.batch / max(1, found.workers)
    rows = [
        ('losses', ', '.join(f'{name} {value:.4g}' for name, value in found.losses.items())),
        ('memory', ', '.join(f'{name} {size}' for name, size in megabytes.items()) + f': {total:.1f} MB a process'),
        ('', found.peak),
        ('lr', f'{rate:.4g} at the first step' + (f', {initial:.4g} at its full value' if rate != initial else '')),
        (
            'time',
            f'{found.step:.3f} s a step of {found.batch} x {found.processes} samples; loading takes {found.sample:.3f} s a '
            f'sample, {loading:.3f} s a batch with {found.workers} workers',
        ),
        ('', f'{_clock(found.iteration * found.epoch_iterations)} an epoch of {found.epoch_iterations} steps, '
             f'{_clock(found.iteration * found.iterations)} for all {found.iterations}, without validation'),
    ]
    if found.metrics is not None:
        rows.append(('metrics', 'of one image: ' + (', '.join(
            f'{name} {value:.4g}' for name, value in found.metrics.items() if isinstance(value, (int, float))) or 'none')))
    rows.append(('files', f'checkpoint {found.checkpoint}'))
    return 'dry run: one step, one evaluated image and one checkpoint went well\n' + '\n'.join(
        f'  {name:<8} {text}' for name, text in rows)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
