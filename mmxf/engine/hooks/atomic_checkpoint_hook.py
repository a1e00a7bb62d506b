"""Checkpoints that are whole or not there, and that hold all a run needs to continue exactly."""
from __future__ import annotations

import os.path as osp
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook

from mmxf.registry import HOOKS

from ..atomic_files import (
    CheckpointWriteError,
    damage_of,
    newest_complete_checkpoint,
    remove_leftovers,
    write_atomically,
)
from ..checkpoint_io import install_safe_loading
from ..loops.exact_resume import ExactResume
from ..plain_data import plain
from ..random_state import restore_random_state

_STATE = 'training_state'


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook that loses no work.

    - A checkpoint is written aside, flushed and renamed; ``last_checkpoint`` and the deletion of outdated ones follow.
    - It also holds the random state of every rank, the position in the data, and gradients that the optimiser has not
      stepped on yet. The exact loops take them up.
    - ``resume=True`` picks the newest whole checkpoint, and says which damaged ones it passed over.
    - A write that fails (full disk) is reported and the run goes on, to try again at the next interval; when it was
      the last one of the run, the run ends with the error. What was saved before stays.
    - It holds tensors, numbers, strings and containers alone: ``torch.load(weights_only=True)`` reads it.
    - Loading, here and for pretrained weights, never runs code from the file (:func:`install_safe_loading`).

    Args are mmengine's.
    """

    def __init__(self, interval: int = -1, by_epoch: bool = True, *args: Any, backend_args: dict | None = None,
                 file_client_args: dict | None = None, **kwargs: Any) -> None:
        out_dir = kwargs.get('out_dir') or (args[2] if len(args) > 2 else None)
        if backend_args is None and file_client_args is None and '://' not in str(out_dir or ''):
            backend_args = dict(backend='mmxf_atomic')
        super().__init__(interval, by_epoch, *args, backend_args=backend_args, file_client_args=file_client_args,
                         **kwargs)
        self._loaded_state: dict | None = None
        self._state_to_save: dict | None = None
        self._left_out: set[str] = set()

    # ---- resuming

    def before_run(self, runner) -> None:
        """Choose what to resume from, before mmengine follows ``last_checkpoint`` blindly."""
        from .. import checkpoint_io
        install_safe_loading(checkpoint_io._allow_pickle_everywhere)
        if not runner._resume:
            return
        answer: list = [None, None]
        if is_main_process():
            try:
                answer[0] = self._choose(runner)
            except FileNotFoundError as error:
                answer[1] = str(error)
        broadcast_object_list(answer)
        if answer[1] is not None:
            raise FileNotFoundError(answer[1])
        if answer[0] is not None:
            runner._load_from = answer[0]

    def _choose(self, runner) -> str | None:
        folder = runner.work_dir
        if self.out_dir is not None:
            folder = osp.join(str(self.out_dir), osp.basename(runner.work_dir.rstrip(osp.sep)))
        if runner._load_from is not None:
            damage = damage_of(runner._load_from) if '://' not in str(runner._load_from) else None
            if damage is None:
                return runner._load_from
            best, _ = newest_complete_checkpoint(folder, self.filename_tmpl, osp.join(runner.work_dir,
                                                                                      'last_checkpoint'))
            raise FileNotFoundError(f'Cannot resume from {runner._load_from}: {damage}. ' + (
                f'The newest whole checkpoint here is {best}' if best else 'There is no whole checkpoint here'))
        if '://' in str(folder):
            return None
        for name in remove_leftovers(folder):
            runner.logger.warning(f'Removed {name}, the half-written file of a run that was killed')
        path, skipped = newest_complete_checkpoint(folder, self.filename_tmpl,
                                                   osp.join(runner.work_dir, 'last_checkpoint'))
        for line in skipped:
            runner.logger.warning(f'Passed over a damaged checkpoint: {line}')
        if path is None and skipped:
            raise FileNotFoundError(f'No whole checkpoint to resume from in {folder}: ' + '; '.join(skipped)
                                    + '. Without --resume the run starts from the beginning')
        if path is None:
            runner.logger.info(f'Nothing to resume from in {folder}: starting from the beginning')
        else:
            runner.logger.info(f'Resuming from {path}')
        return path

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        self._loaded_state = checkpoint.get(_STATE)

    def before_train(self, runner) -> None:
        super().before_train(runner)
        if runner.iter == 0:
            return  # weights were loaded, not a run resumed
        hub = runner.message_hub
        if 'last_ckpt' in hub.runtime_info:
            self.last_ckpt = hub.get_info('last_ckpt')  # so that validating first updates its best score
        if self._loaded_state is None:
            return
        if isinstance(runner.train_loop, ExactResume):
            runner.train_loop.load_training_state(self._loaded_state)
        else:
            runner.logger.warning(f'{type(runner.train_loop).__name__} does not continue exactly; '
                                  'ExactIterBasedTrainLoop and ExactEpochBasedTrainLoop do')
            restore_random_state(self._loaded_state['ranks'][0]['random'])
        self._loaded_state = None

    # ---- saving

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        if self._state_to_save is not None:
            checkpoint[_STATE] = self._state_to_save
        left_out: list[str] = []
        for key in [key for key in checkpoint if key != 'state_dict']:
            checkpoint[key] = plain(checkpoint[key], left_out, key)
        for name in left_out:
            if name not in self._left_out:
                self._left_out.add(name)
                runner.logger.warning(f'Checkpoints hold {name} as its text only, so that reading them runs no code')

    def save_now(self, runner, iteration: int) -> str | None:
        """Save what the run is after ``iteration`` iterations, out of turn. All ranks come here together.

        Returns:
            the last good checkpoint: this one, or where it could not be written (which is logged) the one before.
        """
        meta = dict(epoch=runner.epoch, iter=iteration)
        if not self.by_epoch:
            if osp.basename(str(self.last_ckpt)) != self.filename_tmpl.format(iteration):
                self._save_checkpoint_with_step(runner, iteration, meta)
            return self.last_ckpt
        # In the middle of an epoch: no part of the numbered series, one file that the next one replaces.
        template, keep, by_epoch = self.filename_tmpl, self.max_keep_ckpts, self.by_epoch
        self.filename_tmpl, self.max_keep_ckpts, self.by_epoch = 'preempted.pth', -1, False
        try:
            self._save_checkpoint_with_step(runner, iteration, meta)
        finally:
            self.filename_tmpl, self.max_keep_ckpts, self.by_epoch = template, keep, by_epoch
        return self.last_ckpt

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        """Save, point to it, then delete what is outdated. All ranks come here together."""
        loop = runner.train_loop
        if isinstance(loop, ExactResume):
            self._state_to_save = dict(ranks=all_gather_object(loop.rank_state()),
                                       stream=loop.stream_state(meta['iter']))
        outdated = None
        before = list(self.keep_ckpt_ids) if self.max_keep_ckpts > 0 else []
        if self.max_keep_ckpts > 0 and (not before or before[-1] != step):
            if len(before) == self.max_keep_ckpts:
                outdated = before[0]
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        filename = self.filename_tmpl.format(step)
        previous, self.last_ckpt = self.last_ckpt, self.file_backend.join_path(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        error = None
        try:
            runner.save_checkpoint(self.out_dir, filename, self.file_client_args, save_optimizer=self.save_optimizer,
                                   save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                                   backend_args=self.backend_args, **self.args)
            if is_main_process():
                write_atomically(osp.join(runner.work_dir, 'last_checkpoint'), self.last_ckpt.encode())
        except OSError as caught:
            error = str(caught)
        finally:
            self._state_to_save = None
        error = _agree(error)
        if error is None:
            if outdated is not None and is_main_process():
                self._remove(self.file_backend.join_path(self.out_dir, self.filename_tmpl.format(outdated)))
            return
        if self.max_keep_ckpts > 0:
            self.keep_ckpt_ids.clear()
            self.keep_ckpt_ids.extend(before)
        failed, self.last_ckpt = self.last_ckpt, previous
        message = f'Checkpoint {failed} was not saved: {error}. The last good one is {previous or "none of this run"}'
        last = self.is_last_train_epoch(runner) if self.by_epoch else self.is_last_train_iter(runner)
        if last:
            raise CheckpointWriteError(message)
        runner.logger.error(message + '. Training goes on and tries again at the next interval')

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """As mmengine's, but the previous best is deleted after the new one is whole."""
        keys = [key for key in runner.message_hub.runtime_info if key.startswith('best_')]
        info = {key: runner.message_hub.get_info(key) for key in keys}
        paths = getattr(self, 'best_ckpt_path', None), dict(getattr(self, 'best_ckpt_path_dict', {}))
        backend, guard = self.file_backend, _SavesWithoutRaising(runner)
        self.file_backend = deferred = _DeferredRemovals(backend)
        try:
            super()._save_best_checkpoint(guard, metrics)
        finally:
            self.file_backend = backend
        error = _agree(guard.error)
        if error is not None:
            if hasattr(self, 'best_ckpt_path'):
                self.best_ckpt_path = paths[0]
            if hasattr(self, 'best_ckpt_path_dict'):
                self.best_ckpt_path_dict = paths[1]
            for key, value in info.items():
                runner.message_hub.update_info(key, value)
            runner.logger.error(f'The best checkpoint was not saved: {error}. The previous best one stays')
            return
        current = {getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for path in deferred.removed:
            if path not in current:
                self._remove(path)

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)
        elif self.file_backend.isdir(path):
            self.file_backend.rmtree(path)


def _agree(error: str | None) -> str | None:
    """What rank 0 says, which is the one that writes."""
    answer = [error]
    broadcast_object_list(answer)
    return answer[0]


class _DeferredRemovals:
    """A file backend that only remembers what to remove."""

    def __init__(self, backend: Any) -> None:
        self._backend, self.removed = backend, []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:
        self.removed.append(path)

    rmtree = remove


class _SavesWithoutRaising:
    """A runner whose failing save is remembered: only rank 0 writes, and no rank may leave the others waiting."""

    def __init__(self, runner: Any) -> None:
        self._runner, self.error = runner, None

    def __getattr__(self, name: str):
        return getattr(self._runner, name)

    def save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        try:
            self._runner.save_checkpoint(*args, **kwargs)
        except OSError as error:
            self.error = str(error)
