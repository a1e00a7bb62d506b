"""What ``train --dry-run`` prints."""

from __future__ import annotations

import os.path as osp
import shutil
import tempfile
from datetime import timedelta
from typing import Any


def prepare(cfg: Any) -> str:
    """Sends the run's files to a folder that is removed at the end, and starts no service that logs; returns the folder.

    What ``resume`` would take from the run's own folder becomes ``load_from``.

    Raises:
        UserError: when there is something to resume from, and none of it is whole.
    """
    if cfg.get('resume') and not cfg.get('load_from'):
        cfg.load_from = _to_resume(cfg)
        cfg.resume = cfg.load_from is not None
    checkpoint = (cfg.get('default_hooks') or {}).get('checkpoint')
    if checkpoint:
        checkpoint.pop('out_dir', None)
    folder = tempfile.mkdtemp(prefix='mmxf_dry_run_')
    cfg.work_dir = folder
    cfg.vis_backends = [dict(type='LocalVisBackend')]
    if cfg.get('visualizer'):
        cfg.visualizer.vis_backends = cfg.vis_backends
    return folder


def _to_resume(cfg: Any) -> str | None:
    """The checkpoint that the run would continue from; None, which is said, where there is none."""
    from mmxf.config import UserError
    from mmxf.engine.atomic_files import newest_complete_checkpoint

    settings = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    folder = cfg.work_dir
    if settings.get('out_dir'):
        folder = osp.join(str(settings['out_dir']), osp.basename(folder.rstrip(osp.sep)))
    template = settings.get('filename_tmpl') or ('epoch_{}.pth' if settings.get('by_epoch', True) else 'iter_{}.pth')
    path, damaged = newest_complete_checkpoint(folder, template, osp.join(cfg.work_dir, 'last_checkpoint'))
    for line in damaged:
        print(f'note: passed over a damaged checkpoint: {line}')
    if path is None and damaged:
        raise UserError(f'no whole checkpoint to resume from in {folder}; without --resume the run starts from the beginning')
    if path is None:
        print(f'note: nothing to resume from in {folder}: the run would start from the beginning')
    return path


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
    rest = found.iterations - found.start
    rows = [('resume', f'from {found.resumed}, at iteration {found.start} of {found.iterations}' + (
        '' if rest > 0 else ': nothing is left to do'))] if found.resumed else []
    rows += [
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
             f'{_clock(found.iteration * max(0, rest))} for ' + (f'the {max(0, rest)} that are left' if found.resumed else
                                                                 f'all {found.iterations}') + ', without validation'),
    ]
    if found.metrics is not None:
        rows.append(('metrics', 'of one image: ' + (', '.join(
            f'{name} {value:.4g}' for name, value in found.metrics.items() if isinstance(value, (int, float))) or 'none')))
    rows.append(('files', f'checkpoint {found.checkpoint}'))
    return 'dry run: one step, one evaluated image and one checkpoint went well\n' + '\n'.join(
        f'  {name:<8} {text}' for name, text in rows)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
