"""Everything that a training run will do, once: one step, the evaluation of one image, a checkpoint there and back."""
from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict

from .checkpoint_io import load_file
from .hooks.forecast_hook import peak_memory
from .hooks.preemption_hook import save_now
from .scale_lr import base_rate


class DryRunError(RuntimeError):
    """A part of the run does not do what it must."""


@dataclass
class DryRun:
    """What a dry run found. Memory in bytes and of this process; times in seconds."""

    memory: dict[str, int] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    rates: tuple[float, float] = (0., 0.)
    step: float = 0.
    sample: float = 0.
    workers: int = 0
    batch: int = 0
    processes: int = 1
    iterations: int = 0
    resumed: str = ''
    start: int = 0
    epoch_iterations: int = 0
    metrics: dict[str, Any] | None = None
    checkpoint: str = ''
    peak: str = ''

    @property
    def iteration(self) -> float:
        """Seconds from one step to the next: of computing, or of loading where that takes longer."""
        loading = self.sample * self.batch / max(1, self.workers)
        return max(self.step, loading) if self.workers else self.step + loading


def dry_run(runner: Any) -> DryRun:
    """Does it, with a Runner that has not trained; its work_dir should be one that can go.

    Raises:
        DryRunError: a checkpoint that does not come back as it was; and whatever the run's own parts raise.
    """
    _build(runner)
    found = DryRun(processes=get_world_size(), start=runner.iter, resumed=str(runner._load_from) if runner._resume else '')
    runner.call_hook('before_train')
    try:
        _train_one_step(runner, found)
        if runner.val_loop is not None:
            found.metrics = _evaluate_one_image(runner)
        found.checkpoint = _there_and_back(runner)
    finally:
        getattr(runner.train_loop, '_stop_workers', lambda: None)()
        runner.call_hook('after_train')
    found.peak = peak_memory()
    return found


def _build(runner: Any) -> None:
    """What mmengine's Runner.train does before its loop."""
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    if runner.param_schedulers is not None:
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    if runner._val_loop is not None:
        runner._val_loop = runner.build_val_loop(runner._val_loop)
    runner.call_hook('before_run')
    runner._init_model_weights()
    runner.load_or_resume()
    runner.optim_wrapper.initialize_count_status(runner.model, runner.iter, runner.max_iters)


def _train_one_step(runner: Any, found: DryRun) -> None:
    loader, wrappers = runner.train_dataloader, _wrappers(runner.optim_wrapper)
    dataset = loader.dataset
    found.workers = loader.num_workers
    found.batch = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', 1)
    found.iterations = runner.max_iters
    found.epoch_iterations = math.ceil(len(dataset) / (found.batch * found.processes)) if hasattr(dataset, '__len__') else 0
    batch = next(iter(loader))
    times = []
    for index in range(min(4, found.epoch_iterations)):
        start = time.perf_counter()
        dataset[index]
        times.append(time.perf_counter() - start)
    found.sample = statistics.median(times) if times else 0.
    runner.model.train()
    runner.call_hook('before_train_epoch')
    runner.call_hook('before_train_iter', batch_idx=0, data_batch=batch)
    activations = _Activations(runner.model)
    gradients: list[int] = []
    with activations, _before(wrappers, 'update_params', activations.stop), \
            _before(wrappers, 'step', lambda: gradients.append(_gradient_bytes(runner.model))):
        for _ in range(max(getattr(wrapper, '_accumulative_counts', 1) for wrapper in wrappers)):
            outputs = runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
    _synchronise()
    start = time.perf_counter()
    runner.model.train_step(batch, optim_wrapper=runner.optim_wrapper)
    _synchronise()
    found.step = time.perf_counter() - start
    found.losses = {name: float(value.detach() if isinstance(value, torch.Tensor) else value) for name, value in outputs.items()
                    if not isinstance(value, torch.Tensor) or value.numel() == 1}
    found.rates = tuple(max(base_rate(wrapper, key) for wrapper in wrappers) for key in ('lr', 'initial_lr'))
    model = _plain(runner.model)
    found.memory = dict(
        parameters=sum(_bytes(parameter) for parameter in model.parameters()),
        buffers=sum(_bytes(buffer) for buffer in model.buffers()),
        gradients=max(gradients, default=0),
        optimiser=sum(_bytes(value) for wrapper in wrappers for state in wrapper.optimizer.state.values()
                      for value in state.values() if isinstance(value, torch.Tensor)),
        activations=activations.bytes)


def _evaluate_one_image(runner: Any) -> dict:
    loop = runner.val_loop
    dataset = loop.dataloader.dataset
    runner.call_hook('before_val')
    runner.call_hook('before_val_epoch')
    runner.model.eval()
    loop.run_iter(0, loop.dataloader.collate_fn([dataset[get_rank() % len(dataset)]]))
    losses = loop.mean_losses() if hasattr(loop, 'mean_losses') else {}
    return {**loop.evaluator.evaluate(get_world_size()), **losses}


def _there_and_back(runner: Any) -> str:
    """Saves, reads and compares every tensor; returns what was written, in words."""
    start = time.perf_counter()
    path = save_now(runner, runner.iter + 1)      # a resumed run's own number would be taken as saved already
    if path is None:
        raise DryRunError(f'no checkpoint could be written to {runner.work_dir}; the log above says why')
    took = time.perf_counter() - start
    if get_rank() != 0:
        return ''
    import os

    start = time.perf_counter()
    read, model = load_file(path), _plain(runner.model)
    state = model.state_dict()
    wrong = [key for key, value in state.items() if isinstance(value, torch.Tensor)
             and (key not in read['state_dict'] or not _same(value, read['state_dict'][key]))]
    if any(type(hook).__name__ == 'EMAHook' for hook in runner.hooks):
        wrong = []    # the averaged weights are in the place of the trained ones
    if wrong:
        raise DryRunError(f'{len(wrong)} tensors of the model do not come back from a checkpoint as they were: '
                          f'{", ".join(wrong[:5])}')
    runner.optim_wrapper.load_state_dict(read['optimizer'])
    return (f'{os.path.getsize(path) / 1e6:.1f} MB, written in {took:.2f} s, read and taken up again in '
            f'{time.perf_counter() - start:.2f} s')


class _Activations(torch.autograd.graph.saved_tensors_hooks):
    """Counts what the forward pass keeps for the backward pass, each storage once; weights are not among it."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.bytes, self._counts = 0, True
        self._known = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
        super().__init__(self._note, lambda tensor: tensor)

    def _note(self, tensor: torch.Tensor) -> torch.Tensor:
        if self._counts and tensor.layout == torch.strided:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in self._known:
                self._known.add(storage.data_ptr())
                self.bytes += storage.nbytes()
        return tensor

    def stop(self) -> None:
        self._counts = False


@contextmanager
def _before(wrappers: list, name: str, act: Any) -> Iterator[None]:
    """Have ``act()`` called before a method of every wrapper."""
    for wrapper in wrappers:
        method = getattr(wrapper, name)

        @functools.wraps(method)
        def call(*args, _method=method, **kwargs):
            act()
            return _method(*args, **kwargs)

        wrapper.__dict__[name] = call
    try:
        yield
    finally:
        for wrapper in wrappers:
            wrapper.__dict__.pop(name, None)


def _wrappers(optim_wrapper: Any) -> list:
    return list(optim_wrapper.values()) if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]


def _gradient_bytes(model: torch.nn.Module) -> int:
    return sum(_bytes(parameter.grad) for parameter in model.parameters() if parameter.grad is not None)


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and bool(torch.equal(a.cpu(), b.cpu()) or (a != a).any())


def _plain(model: torch.nn.Module) -> torch.nn.Module:
    return model.module if is_model_wrapper(model) else model


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
