"""A look at the data before the first iteration: what is wrong stops the run in seconds, not after the first epoch."""
from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook

from mmxf.registry import HOOKS


class DataCheckError(ValueError):
    """A data set is not what the config says; the message names files and cures."""


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Opens a few samples of the training and validation set before training.

    Errors (labels that are no class, masks of 0 and 255, ids that no list names ...) stop the run; warnings are logged. Images
    for training that cannot be read are left to `TolerantDataset`, which trains past a few of them, unless most of the sample is.

    Args:
        sample: samples of each data set that are opened, spread over it; 0 switches the hook off.
        seconds: after which no more are opened.
    """

    priority = 'HIGH'

    def __init__(self, sample: int = 24, seconds: float = 5.0) -> None:
        if sample < 0 or seconds <= 0:
            raise ValueError(f'sample must not be negative and seconds be positive, got {sample} and {seconds}')
        self.sample, self.seconds = sample, seconds

    def before_train(self, runner) -> None:
        if not self.sample or runner.iter > 0:      # a resumed run has looked already
            return
        answer: list = [None]
        if is_main_process():
            answer[0] = self._look(runner)
        broadcast_object_list(answer)
        if answer[0]:
            raise DataCheckError(answer[0])

    def _look(self, runner) -> str | None:
        """What must be mended, None when nothing."""
        from mmxf.datasets.check import check_dataset
        from mmxf.datasets.check.reading import MISSING, UNREADABLE

        wrong = []
        for name, loop in (('train_dataloader.dataset', runner._train_loop), ('val_dataloader.dataset', runner._val_loop)):
            dataset: Any = getattr(getattr(loop, 'dataloader', None), 'dataset', None)
            if dataset is None:
                continue
            try:
                report, _ = check_dataset(dataset, name, sample=self.sample, seconds=self.seconds, quick=True)
            except Exception as error:  # a data set of another's making may lack what the check asks for
                runner.logger.warning(f'{name} could not be checked: {type(error).__name__}: {error}')
                continue
            errors = []
            for problem in report.problems.values():
                few = (problem.kind in (MISSING, UNREADABLE) and len(problem.places) <= report.looked_at / 2
                       and name.startswith('train'))       # a validation ends at the first one
                if problem.error and not few:
                    errors.append(problem.text())
                else:
                    runner.logger.warning(f'{name}: {problem.text()}')
            runner.logger.info(f'{name}: {report.looked_at} of {report.total} samples looked at in {report.seconds:.1f} s, '
                               + (f'{len(errors)} kinds of errors' if errors else 'no errors'))
            wrong += [f'{name}:\n' + '\n'.join(errors)] if errors else []
        if not wrong:
            return None
        return '\n'.join([*wrong, 'mmxf check-dataset CONFIG looks at more, and draws samples; '
                          'custom_hooks with DataCheckHook(sample=0) trains on it nevertheless'])
