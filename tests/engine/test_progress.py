"""The line of progress: in place on a terminal, rare and plain in a file; one config line a tracker."""
import io
import logging
import re
import sys
import types
from pathlib import Path

import pytest
import torch

import mmxf.registry  # noqa: F401
from mmxf.engine.hooks import progress_hook
from mmxf.engine.hooks.progress_hook import ProgressHook, _clock

ROOT = Path(__file__).parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Runner:
    """As much of a Runner as the hook asks for."""

    def __init__(self, total: int) -> None:
        self.iter, self.max_iters, self.scalars = 0, total, {}
        self.message_hub = types.SimpleNamespace(update_scalar=self.scalars.__setitem__)
        self.optim_wrapper = types.SimpleNamespace(get_lr=lambda: {'lr': [0.0012]})
        self.logger = logging.Logger('run')
        self.val_dataloader = [None] * 4


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns."""
    now = [100.0]
    fake = types.SimpleNamespace(monotonic=lambda: now[0], perf_counter=lambda: now[0])
    monkeypatch.setattr(progress_hook, 'time', fake)
    return now


def train(hook, runner, clock, log=None):
    hook.before_train(runner)
    for step in range(runner.max_iters):
        runner.iter = step
        clock[0] += 0.5     # waiting for data
        hook.before_train_iter(runner, runner.iter)
        clock[0] += 1.5
        hook.after_train_iter(runner, runner.iter, outputs=dict(loss=torch.tensor(2.5)))
        if log is not None and runner.iter == 1:
            runner.logger.warning(log)
    hook.after_train(runner)


def test_a_file_gets_few_plain_lines(clock):
    out = io.StringIO()
    train(ProgressHook(seconds=60, stream=out), Runner(100), clock)
    lines = out.getvalue().splitlines()
    assert len(lines) == 3, 'every 60 s of 200 s'
    assert not re.search(r'[\r\x1b]', out.getvalue())
    first = lines[0]
    assert first.startswith('train 30/100 30%  loss 2.5  lr 1.20e-03  2 s/iter, 25% waiting for data')
    assert '2:20 left, until ' in first


def test_a_terminal_shows_one_line_in_place_and_the_log_above_it(clock):
    out, runner = Terminal(), Runner(3)
    handler = logging.StreamHandler(out)
    runner.logger.addHandler(handler)
    train(ProgressHook(stream=out), runner, clock, log='something happened')
    text = out.getvalue()
    assert text.count('\r\x1b[Ktrain') == 3 and text.count('\n') == 2
    assert '\r\x1b[Ksomething happened\n' in text, 'the line was taken away first'
    assert 'train 3/3 100%' in text and 'done' in text and not runner.logger.filters


def test_memory_goes_into_the_log_without_a_gpu(clock, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    runner = Runner(2)
    train(ProgressHook(stream=io.StringIO()), runner, clock)
    assert runner.scalars['train/memory'] > 10


def test_validation_has_its_own_pace(clock):
    out, runner = Terminal(), Runner(10)
    hook = ProgressHook(stream=out)
    hook.before_val_epoch(runner)
    for i in range(4):
        clock[0] += 0.5
        hook.after_val_iter(runner, i)
    assert 'val 1/4 25%  2.0 images/s' in out.getvalue() and 'val 4/4 100%' in out.getvalue()


def test_times_in_words():
    assert [_clock(s) for s in (59.6, 3600, 90061)] == ['1:00', '1:00:00', '1 d 1:01:01']
    with pytest.raises(ValueError, match='positive'):
        ProgressHook(seconds=0)


def fake_packages(monkeypatch, seen: list) -> None:
    """tensorboard, wandb and mlflow that write down what they are told."""

    class Writer:
        def __init__(self, *args, **kwargs):
            pass

        def add_scalar(self, name, value, step):
            seen.append(('tensorboard', name, value, step))

        def close(self):
            pass

    wandb = types.ModuleType('wandb')
    axis: list = []     # W&B draws over its own count of calls unless told otherwise
    wandb.init, wandb.define_metric = lambda **kwargs: None, lambda name, step_metric: axis.append((name, step_metric))
    wandb.log = lambda values, **kwargs: seen.append(
        ('wandb', *next(iter(values.items())), values.get('step') if axis == [('*', 'step')] else len(seen)))
    wandb.run = types.SimpleNamespace(dir='.')
    mlflow = types.ModuleType('mlflow')
    mlflow.get_tracking_uri, mlflow.get_experiment_by_name = (lambda: ''), (lambda name: None)
    mlflow.set_tracking_uri = lambda uri: seen.append(('mlflow', 'kept in', uri))
    mlflow.create_experiment = mlflow.set_experiment = mlflow.start_run = lambda *a, **k: None
    mlflow.set_tags = mlflow.log_params = lambda *a, **k: None
    mlflow.active_run = lambda: None
    mlflow.log_metric = lambda name, value, step=None: seen.append(('mlflow', name, value, step))
    mlflow.log_metrics = lambda values, step=None: seen.append(('mlflow', *next(iter(values.items())), step))
    mlflow.MlflowException = OSError
    for name, module in (('wandb', wandb), ('mlflow', mlflow), ('tensorboard', types.ModuleType('tensorboard'))):
        monkeypatch.setitem(sys.modules, name, module)
    for name in ('torch.utils.tensorboard', 'tensorboardX'):
        module = types.ModuleType(name)
        module.SummaryWriter = Writer
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize('kind', ['TensorboardVisBackend', 'WandbVisBackend', 'MLflowVisBackend'])
@pytest.mark.parametrize('config', ['kmax/kmax_r18_mini.py', 'ktpformer/ktpformer_f27_mini.py'])
def test_one_config_line_a_tracker(tmp_path, monkeypatch, kind, config):
    from mmengine.registry import VISUALIZERS, DefaultScope

    from mmxf.cli._session import check_backends
    from mmxf.config import load_config

    (tmp_path / 'mine.py').write_text(
        f"_base_ = [{str(ROOT / 'configs' / config)!r}]\n"
        f"vis_backends = [dict(type='LocalVisBackend'), dict(type={kind!r})]\n")
    cfg = load_config(tmp_path / 'mine.py')
    seen: list = []
    fake_packages(monkeypatch, seen)
    monkeypatch.delenv('MLFLOW_TRACKING_URI', raising=False)
    check_backends(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):    # as the Runner does
        drawer = VISUALIZERS.build(dict(cfg.visualizer, name=f'{kind}{config}', save_dir=str(tmp_path)))
    drawer.add_scalars(dict(loss=2.0), step=7, file_path='x.json')
    drawer.add_scalar('lr', 0.5, step=9)
    if kind.startswith('MLflow'):
        assert seen.pop(0)[2] == 'sqlite:///mlflow.db', 'MLflow 3 refuses a folder of files'
    assert [(name, float(value), step) for _, name, value, step in seen] == [('loss', 2.0, 7), ('lr', 0.5, 9)]


def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    import importlib.util

    from mmxf.cli._session import check_backends
    from mmxf.config import UserError

    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    monkeypatch.delitem(sys.modules, 'mlflow', raising=False)
    with pytest.raises(UserError, match='pip install mlflow'):
        check_backends(dict(visualizer=dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='MLflowVisBackend')])))
    with pytest.raises(UserError, match="'LocalVisBackend' is no dict"):
        check_backends(dict(visualizer=dict(vis_backends=['LocalVisBackend'])))
