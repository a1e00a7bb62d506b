"""What both exact loops share: the data stream's position, random states, half-accumulated gradients, validation.

A run that is killed and resumed ends with the same weights, bit for bit on the CPU, as one that was not. mmengine
restores weights, optimiser, schedulers, loss scaler and EMA. Added here: where in the data stream the run was, without
loading what was skipped; the random state of every rank; gradients of a window of accumulation that is not complete.
Validation neither moves training's random state nor gets lost when the run is killed during it.
"""
from __future__ import annotations

import itertools
import os.path as osp
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, get_rank, get_world_size, is_main_process
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict
from torch.utils.data import BatchSampler, DataLoader

from ..atomic_files import write_atomically
from ..random_state import capture_random_state, preserved_random_state, restore_random_state
from ..sampler import ResumableSampler

_STANDARD_SAMPLERS = {'InfiniteSampler', 'DefaultSampler', 'mmengine.InfiniteSampler', 'mmengine.DefaultSampler'}
_REPORT = 'bad_samples.jsonl'
_VALIDATED = 'last_validation'


def exact_dataloader_cfg(runner, dataloader: Any, infinite: bool, max_bad_samples: int | float | None) -> Any:
    """The config of a training data loader with a resumable sampler and per-sample seeds; a built one as it is."""
    if not isinstance(dataloader, dict):
        return dataloader
    from mmxf.datasets.tolerant import TolerantDataset  # imports every data set of the house
    cfg = dict(dataloader)
    sampler = dict(cfg.get('sampler') or dict(type='ResumableSampler'))
    if sampler['type'] in _STANDARD_SAMPLERS:
        sampler['type'] = ResumableSampler
    if sampler['type'] in ('ResumableSampler', 'mmxf.ResumableSampler', ResumableSampler):
        sampler['type'] = ResumableSampler
        sampler['infinite'] = infinite
    cfg['sampler'] = sampler
    report = osp.join(runner.work_dir, _REPORT)
    if is_main_process() and not runner._resume and osp.isfile(report):
        Path(report).unlink()  # of an earlier run; a resumed run goes on counting
    cfg['dataset'] = dict(type=TolerantDataset, dataset=cfg['dataset'], max_bad_samples=max_bad_samples,
                          report_file=report)
    return cfg


class ExactResume:
    """Mixin of the exact loops; ``self.runner`` and ``self.dataloader`` come from mmengine's BaseLoop."""

    def _prepare_exactness(self) -> None:
        # Iterators draw a seed for their workers; from a generator of their own, so that the number of times an
        # iterator is made (once more in a resumed run) does not move the model's random draws.
        self.dataloader.generator = torch.Generator().manual_seed(0)
        self._loaded_state: dict | None = None
        self._held_random_state: dict | None = None
        self._stream_origin = (0, 0)  # (iteration, samples of all ranks) at which this process joined the stream
        if not isinstance(_inner_sampler(self.dataloader), ResumableSampler):
            print_log('train_dataloader does not use ResumableSampler, so a resumed run may see other random draws in '
                      'its data workers. For exact continuation: sampler=dict(type="ResumableSampler")',
                      logger='current', level=30)

    # ---- what goes into a checkpoint

    def rank_state(self) -> dict:
        """State of this rank: generators, and gradients if the optimiser has not stepped on them yet."""
        state = dict(random=self._held_random_state or capture_random_state())
        if _mid_accumulation(self.runner.optim_wrapper):
            state['gradients'] = {name: parameter.grad.cpu() for name, parameter in
                                  _plain_model(self.runner).named_parameters() if parameter.grad is not None}
        return state

    def stream_state(self, iteration: int) -> dict:
        """Where the data stream is after ``iteration`` iterations; the same on all ranks."""
        sampler = _inner_sampler(self.dataloader)
        return dict(samples=self._samples_before(iteration), global_batch=self._global_batch(),
                    seed=sampler.seed if isinstance(sampler, ResumableSampler) else None)

    def load_training_state(self, state: dict) -> None:
        """Hand over what a checkpoint held; it takes effect when the loop runs.

        Args:
            state: dict(ranks=[rank_state of each], stream=stream_state).
        """
        self._loaded_state = state

    # ---- entering the stream

    def _enter_stream(self) -> None:
        """Apply a loaded state: seed and position of the data, gradients, and last the generators."""
        state, self._loaded_state = self._loaded_state, None
        if state is None:
            if self._iter > 0:
                print_log('The checkpoint has no training state (it was not written by AtomicCheckpointHook): the run '
                          'goes on, but not exactly as if it had not stopped', logger='current', level=30)
                self._stream_origin = (self._iter, self._iter * self._global_batch())
            return
        stream, ranks = state['stream'], state['ranks']
        sampler = _inner_sampler(self.dataloader)
        if isinstance(sampler, ResumableSampler) and stream['seed'] is not None:
            sampler.seed = stream['seed']
        self._stream_origin = (self._iter, stream['samples'])
        if len(ranks) != get_world_size() or stream['global_batch'] != self._global_batch():
            print_log(f'Resumed with {get_world_size()} processes and a global batch of {self._global_batch()}, after '
                      f'{len(ranks)} and {stream["global_batch"]}: the data go on where they were, but the run is not '
                      'exactly what it would have been', logger='current', level=30)
        if get_rank() >= len(ranks):
            return
        own = ranks[get_rank()]
        if own.get('gradients'):
            for name, parameter in _plain_model(self.runner).named_parameters():
                if name in own['gradients']:
                    parameter.grad = own['gradients'][name].to(parameter.device)
        restore_random_state(own['random'])

    def _global_batch(self) -> int:
        return (self.dataloader.batch_size or getattr(self.dataloader.batch_sampler, 'batch_size', 1)) \
            * get_world_size()

    def _samples_before(self, iteration: int) -> int:
        start, samples = self._stream_origin
        return samples + (iteration - start) * self._global_batch()

    def _skip_batches(self, batches: int, samples: int) -> None:
        """Let the next iterator of the data loader start later; nothing that is skipped is loaded.

        Args:
            batches: of this rank.
            samples: of all ranks together.
        """
        batch_sampler = self.dataloader.batch_sampler
        sampler = _inner_sampler(self.dataloader)
        if isinstance(sampler, ResumableSampler) and type(batch_sampler) is BatchSampler:
            sampler.seek(samples)
        elif batches and batch_sampler is not None:
            # A batch sampler that deals in its own way: draw its batches of indices and drop them. DataLoader forbids
            # to set the attribute the ordinary way.
            object.__setattr__(self.dataloader, 'batch_sampler', _Later(batch_sampler, batches))

    def _stop_workers(self) -> None:
        """End persistent workers now. Left to the garbage collector, each would be waited for 5 seconds in vain."""
        self.dataloader._iterator = None

    # ---- validation

    def _validate(self) -> None:
        """Validate without moving training's random state, and note that it was completed."""
        with preserved_random_state() as state:
            self._held_random_state = state  # a checkpoint written during validation holds training's state
            try:
                self.runner.val_loop.run()
            finally:
                self._held_random_state = None
        if is_main_process():
            write_atomically(osp.join(self.runner.work_dir, _VALIDATED), str(self._iter).encode())

    def _validate_if_interrupted(self, due: bool) -> None:
        """A run that was killed during validation has its checkpoint but no metric: validate before going on."""
        path = Path(self.runner.work_dir) / _VALIDATED
        done = path.is_file() and path.read_text().strip() == str(self._iter)
        barrier()  # all ranks have looked
        if not done and is_main_process():
            path.unlink(missing_ok=True)  # of a run that went further, or an earlier one
        if self._iter == 0 or not due or done:
            return
        self.runner.logger.info(f'The run stopped before the validation at iteration {self._iter} was complete: '
                                'validating first')
        self._validate()


class _Later:
    """A batch sampler without its first batches, the first time it is iterated."""

    def __init__(self, batch_sampler: Any, batches: int) -> None:
        self._batch_sampler, self._batches = batch_sampler, batches

    def __getattr__(self, name: str):
        if name.startswith('__') or name == '_batch_sampler':
            raise AttributeError(name)
        return getattr(self._batch_sampler, name)

    def __iter__(self):
        batches, self._batches = self._batches, 0
        return itertools.islice(iter(self._batch_sampler), batches, None)

    def __len__(self) -> int:
        return len(self._batch_sampler)


def _inner_sampler(dataloader: DataLoader) -> Any:
    return getattr(dataloader.batch_sampler, 'sampler', None) or dataloader.sampler


def _plain_model(runner) -> torch.nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def _mid_accumulation(optim_wrapper: Any) -> bool:
    wrappers = list(optim_wrapper.values()) if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    return any(not wrapper.should_update() for wrapper in wrappers)
