"""A training run of a second with every kind of randomness, started by the tests in processes of their own.

``python toy_training.py '{"work_dir": ..., ...}'`` runs :func:`train`, also under torchrun.
"""
import itertools
import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

import mmxf.engine  # noqa: F401  registers what the configs name
from mmxf.engine import prepare_cpu_processes

RUNS = itertools.count()


@DATASETS.register_module(force=True)
class ToyData(BaseDataset):
    """24 samples of 6 numbers; augmentation draws from all three generators, and mixes in another sample."""

    METAINFO = {'classes': ('a', 'b', 'c')}

    def __init__(self, length=24, bad=(), nan=(), delay=0., plain=False, **kwargs):
        self.length, self.bad, self.nan, self.delay, self.plain = length, set(bad), set(nan), delay, plain
        super().__init__(**kwargs)

    def load_data_list(self):
        return [{'img_path': f'image_{i}.jpg', 'value': i} for i in range(self.length)]

    def _values(self, index):
        generator = torch.Generator().manual_seed(1000 + index)
        return torch.rand(6, generator=generator)

    def prepare_data(self, index):
        time.sleep(self.delay)
        if index in self.bad:
            raise OSError(f'image_{index}.jpg: cannot identify image')
        if not self.test_mode and not self.plain and random.random() < 0.1:
            return None  # BaseDataset draws another one
        x = self._values(index)
        target = x.sum().item()
        if not self.test_mode and not self.plain:
            x = x + 0.1 * random.random() + torch.from_numpy(0.1 * np.random.rand(6)).float() + 0.1 * torch.rand(6)
            x = 0.7 * x + 0.3 * self._values(np.random.randint(self.length))
        if index in self.nan:
            x = x * float('nan')
        sample = BaseDataElement(metainfo={'img_path': f'image_{index}.jpg', 'target': target})
        return {'inputs': x, 'data_samples': sample}


@MODELS.register_module(force=True)
class ToyModel(BaseModel):
    """Batch norm, dropout, and noise from all three generators of the main process."""

    num_classes = 3

    def __init__(self, quiet=False, delay=0.):
        super().__init__()
        self.quiet, self.delay = quiet, delay
        self.backbone = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8) if not quiet
                                            else torch.nn.Identity(), torch.nn.ReLU())
        self.drop = torch.nn.Dropout(0. if quiet else 0.2)
        self.out = torch.nn.Linear(8, 1)

    def checkpoint_num_classes(self, state_dict):
        return int(state_dict['classes']) if 'classes' in state_dict else None

    def forward(self, inputs, data_samples=None, mode='tensor'):
        x = torch.stack(list(inputs))
        y = self.out(self.drop(self.backbone(x)))[:, 0]
        if mode != 'loss':
            if mode == 'predict':  # validation that draws numbers must not change training
                torch.rand(3), np.random.rand(), random.random()
            return [BaseDataElement(metainfo=s.metainfo, y=v) for s, v in zip(data_samples, y)]
        time.sleep(self.delay)
        if not self.quiet:
            y = y + 0.01 * torch.rand_like(y) + 0.01 * random.random() + 0.01 * float(np.random.rand())
        target = y.new_tensor([s.target for s in data_samples])
        return {'loss_square': ((y - target) ** 2).mean(), 'loss_abs': 0.1 * (y - target).abs().mean()}


@METRICS.register_module(force=True)
class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(abs(float(s['y']) - s['target']) for s in data_samples)

    def compute_metrics(self, results):
        return {'error': float(np.mean(results))}


def config(work_dir, loop='iter', length=12, interval=2, workers=0, persistent=False, accumulate=1, batch=4, val=0,
           ema=False, resume=False, launcher='none', seed=0, data=None, model=None, hook=None, max_bad_samples=None,
           sampler=None, load_from=None, delay=0., hooks=(), val_cfg=None, optim=None):
    by_epoch = loop == 'epoch'
    train = {'type': 'ExactEpochBasedTrainLoop' if by_epoch else 'ExactIterBasedTrainLoop',
             'max_epochs' if by_epoch else 'max_iters': length, 'val_interval': val or 10 ** 6,
             'max_bad_samples': max_bad_samples}
    cfg = {
        # mmengine names a run by the second it starts in; two of one name would share their log buffers.
        'experiment_name': f'toy_{os.getpid()}_{next(RUNS)}',
        'default_scope': 'mmxf', 'work_dir': str(work_dir), 'resume': resume, 'launcher': launcher,
        'load_from': load_from, 'log_level': 'WARNING', 'randomness': {'seed': seed},
        'model': {'type': 'ToyModel', 'delay': delay, **(model or {})}, 'train_cfg': train,
        'train_dataloader': {
            'batch_size': batch, 'num_workers': workers, 'persistent_workers': persistent and workers > 0,
            'sampler': sampler or {'type': 'ResumableSampler', 'shuffle': True},
            'dataset': {'type': 'ToyData', **(data or {})}},
        'optim_wrapper': {'type': 'OptimWrapper', 'accumulative_counts': accumulate,
                          'constructor': 'TypedDecayOptimWrapperConstructor',
                          'paramwise_cfg': {'norm_decay_mult': 0., 'bias_decay_mult': 0.,
                                            'custom_keys': {'backbone': {'lr_mult': 0.5}}},
                          'optimizer': {'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.05}},
        'param_scheduler': [{'type': 'TF2WarmupPolyLR', 'by_epoch': False, 'warmup_iters': 3}],
        'default_hooks': {
            'checkpoint': {'type': 'AtomicCheckpointHook', 'interval': interval, 'by_epoch': by_epoch,
                           **(hook or {})},
            'logger': {'type': 'LoggerHook', 'interval': 10}},
        'custom_hooks': [{'type': 'NonFiniteLossHook'}, {'type': 'ClassCountHook'},
                         {'type': 'ForecastHook', 'after_iters': 4}, {'type': 'PreemptionHook'}],
    }
    for extra in hooks:  # one of a type that is there takes its place
        cfg['custom_hooks'] = [*(old for old in cfg['custom_hooks'] if old['type'] != extra['type']), extra]
    cfg['optim_wrapper'].update(optim or {})
    if ema:
        cfg['custom_hooks'].append({'type': 'EMAHook', 'momentum': 0.1})
    if val:
        cfg.update(val_cfg=val_cfg or {'type': 'ValLoop'}, val_evaluator={'type': 'ToyMetric'}, val_dataloader={
            'batch_size': 4, 'num_workers': 0, 'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            'dataset': {'type': 'ToyData', 'test_mode': True, 'length': 8}})
    if by_epoch:
        cfg['param_scheduler'] = [{'type': 'ExponentialLR', 'gamma': 0.9}]
    return Config(cfg)


def train(**kwargs):
    """Run; leaves the weights in ``final.pth`` and the losses of each iteration in ``losses_<rank>.json``."""
    torch.set_num_threads(1)
    cfg = config(**kwargs)
    prepare_cpu_processes(cfg, cfg.launcher)
    runner = Runner.from_cfg(cfg)
    runner.cfg.launcher = cfg.launcher
    losses = {}

    class Record(mmxf.engine.hooks.NonFiniteLossHook.__mro__[1]):
        priority = 'LOWEST'  # "started": signals are listened to by then

        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            losses[runner.iter] = [float(v) for v in outputs.values()]

        def before_train(self, runner):
            Path(runner.work_dir, 'started').touch()

    runner.register_hook(Record())
    runner.train()
    model = getattr(runner.model, 'module', runner.model)
    folder, rank = Path(cfg.work_dir), os.environ.get('RANK', '0')
    (folder / f'losses_{rank}.json').write_text(json.dumps(losses))
    if rank == '0':
        state = dict(model.state_dict())
        for hook in runner.hooks:
            if hasattr(hook, 'ema_model'):
                state.update({f'ema.{k}': v for k, v in hook.ema_model.state_dict().items()})
        torch.save(state, folder / 'final.pth')
    return runner


if __name__ == '__main__':
    train(**json.loads(sys.argv[1]))
