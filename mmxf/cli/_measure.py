"""Time and memory of one model's forward pass, inference and training step.

Memory is measured in a process of its own (``python -m mmxf.cli._measure SPEC``), so that nothing another
model or mode left behind counts.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
import time
from pathlib import Path

MODES = ('forward', 'inference', 'train')


class Subject:
    """A config's model with made-up batches, ready to run in each mode.

    Args:
        spec: dict with ``config``, ``shape`` ((H, W) or None), ``batch``, ``device``, ``dtype``, ``options``.
    """

    def __init__(self, spec: dict, training: bool, evaluation: bool = True) -> None:
        import torch

        from mmxf.allocator import keep_freed_memory
        from mmxf.apis.init_model import build_model
        from mmxf.apis.synthetic import open_at_size, synthetic_batch

        self.spec = spec
        self.device = torch.device(spec['device'])
        shape = tuple(spec['shape']) if spec.get('shape') else None
        cfg, self.shape = open_at_size(spec['config'], shape, spec.get('options'))
        if self.device.type == 'cpu':
            keep_freed_memory()     # as training and testing do
        self.model = build_model(cfg, seed=0).to(self.device)
        self.model.eval()
        self.batch = {}
        if evaluation:
            self.batch['eval'] = synthetic_batch(self.model, cfg, self.shape, spec['batch'], training=False)
        if training:
            self.batch['train'] = synthetic_batch(self.model, cfg, self.shape, spec['batch'], training=True)

    @property
    def input_shape(self) -> list[int]:
        return list(next(iter(self.batch.values()))['inputs'].shape)

    @property
    def unit(self) -> tuple[str, int]:
        """What a pass works on, and how many: images, or poses of a lifting model."""
        shape = self.input_shape
        return ('poses', shape[0] * shape[1]) if hasattr(self.model, 'skeleton') else ('images', shape[0])

    def autocast(self):
        import torch

        if self.spec['dtype'] == 'float32':
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.spec['dtype']))

    def step(self, mode: str) -> None:
        """Run one pass; returns when it is done, on a GPU too."""
        import torch

        if mode == 'train':
            self.model.train()
            batch = self.batch['train']
            with self.autocast():
                losses = self.model(batch['inputs'], batch['data_samples'], mode='loss')
                loss, _ = self.model.parse_losses(losses)
            loss.backward()
            self.model.zero_grad(set_to_none=True)
        else:
            self.model.eval()
            batch = self.batch['eval']
            with torch.no_grad(), self.autocast():
                self.model(
                    batch['inputs'], batch['data_samples'], mode='tensor' if mode == 'forward' else 'predict'
                )
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)

    def time(self, mode: str) -> float:
        """Seconds of one pass."""
        start = time.perf_counter()
        self.step(mode)
        return time.perf_counter() - start


def status_mb(key: str) -> float | None:
    """VmRSS or VmHWM of this process in MB (2**20 bytes), None where /proc has none."""
    with contextlib.suppress(OSError):
        for line in Path('/proc/self/status').read_text().splitlines():
            if line.startswith(key + ':'):
                return int(line.split()[1]) / 1024
    return None


def reset_peak() -> bool:
    """Set VmHWM back to the present size. False where the kernel does not let us."""
    try:
        Path('/proc/self/clear_refs').write_text('5')
        return True
    except OSError:
        return False


def give_back_free_memory() -> None:
    """Hand freed heap pages back to the system, so that they do not hide what a step allocates."""
    import ctypes

    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL('libc.so.6').malloc_trim(0)


def peak_memory(spec: dict, mode: str) -> dict:
    """Peak of a pass in MB, measured in this process, which should be fresh.

    Returns: ``baseline_mb`` before it (weights, batch; on the CPU also the libraries), ``total_mb`` at its
        highest, ``peak_mb``: on the CPU total - baseline, on a GPU what torch.cuda.max_memory_allocated
        says.
    """
    import torch

    subject = Subject(spec, training=mode == 'train', evaluation=mode != 'train')
    if subject.device.type == 'cuda':
        subject.step(mode)
        torch.cuda.reset_peak_memory_stats(subject.device)
        baseline = torch.cuda.memory_allocated(subject.device) / 2**20
        subject.step(mode)
        total = torch.cuda.max_memory_allocated(subject.device) / 2**20
        return dict(baseline_mb=baseline, total_mb=total, peak_mb=total)
    import resource

    give_back_free_memory()
    reset = reset_peak()
    baseline = status_mb('VmRSS')
    if (
        baseline is None or not reset
    ):  # the peak since the process began: never too low, but may hide small steps
        baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == 'darwin' else 1024
        )
    subject.step(mode)
    subject.step(mode)
    total = status_mb('VmHWM') or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == 'darwin' else 1024
    )
    return dict(baseline_mb=baseline, total_mb=total, peak_mb=total - baseline)


def peak_memory_in_child(spec: dict, mode: str, threads: int | None) -> dict:
    """:func:`peak_memory` in a fresh process. Raises RuntimeError with the child's last line."""
    job = json.dumps(dict(spec=spec, mode=mode, threads=threads))
    # The child finds modules (custom_imports of a config) where this process does.
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(p or os.getcwd() for p in sys.path), PYTHONSAFEPATH='1')
    done = subprocess.run(
        [sys.executable, '-m', 'mmxf.cli._measure', job], capture_output=True, text=True, env=env
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f'exit status {done.returncode}']
        raise RuntimeError(lines[-1])
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == '__main__':
    job = json.loads(sys.argv[1])
    if job['threads']:
        import torch

        torch.set_num_threads(job['threads'])
    print(json.dumps(peak_memory(job['spec'], job['mode'])))
