"""``train --dry-run``: everything once, and nothing left behind."""
import os
import warnings

import pytest
import torch
from test_train_and_test import tool, write_config

from mmxf.cli._dry_run import report
from mmxf.engine.dry_run import DryRun, DryRunError, dry_run

TOY = ("train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=40)\n"
       "default_hooks = dict(checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False))\n")


def test_command(tmp_path):
    before = {'toy_run.py'}
    said = tool(tmp_path, 'train', write_config(tmp_path, TOY), '--dry-run')
    assert set(os.listdir(tmp_path)) == before, 'no work_dirs'
    for words in ('one step, one evaluated image and one checkpoint went well', 'Learning rate 0.1 -> 0.05',
                  'memory   parameters 0.0 MB', 'lr       0.05 at the first step', '(0.025 for some parameters)',
                  'an epoch of 2 steps', 'for all 40',
                  'metrics  of one image: toy/mean', 'files    checkpoint'):
        assert words in said, words
    assert 'Iter(train)' not in said, 'it does not train'


def built(toy, folder, **kwargs):
    return toy.Runner.from_cfg(toy.config(str(folder), length=10, **kwargs))


def test_numbers(toy, tmp_path):
    """The toy has 6 x 8 + 8, 8 + 8 and 8 + 1 parameters, all of which AdamW gives two moments and a step count."""
    runner = built(toy, tmp_path, val=5, accumulate=2, batch=4)
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('error', 'Converting a tensor with requires_grad')
            found = dry_run(runner)
    finally:
        torch.set_warn_always(always)
    parameters = 4 * (6 * 8 + 8 + 16 + 9)
    assert found.memory['parameters'] == found.memory['gradients'] == parameters
    assert found.memory['optimiser'] == 2 * parameters + 4 * 6
    assert found.memory['buffers'] == 4 * 16 + 8
    # Kept for the backward pass of 4 samples: at least input, its product, batch norm's output; at most some kB.
    assert 4 * (4 * 6 + 4 * 8 + 4 * 8) <= found.memory['activations'] < 4096
    assert found.batch == 4 and found.epoch_iterations == 6 and found.iterations == 10
    assert 'error' in found.metrics and found.losses['loss'] > 0
    assert 'rss' not in report(found) and '6 steps' in report(found)


def test_activations_grow_with_the_batch_only(toy, tmp_path):
    small, large = (dry_run(built(toy, tmp_path / str(batch), batch=batch)).memory for batch in (2, 8))
    assert small['parameters'] == large['parameters'] and 2.5 < large['activations'] / small['activations'] < 4.5


def test_time():
    found = DryRun(step=1., sample=0.5, workers=2, batch=8, epoch_iterations=100, iterations=1000)
    assert found.iteration == 2., 'two workers load a batch in 8 x 0.5 / 2 seconds'
    found.workers = 0
    assert found.iteration == 5., 'without workers, loading and computing take turns'
    assert '0:08:20 an epoch of 100 steps, 1:23:20 for all 1000' in report(found)


def test_a_checkpoint_that_does_not_come_back(toy, tmp_path, monkeypatch):
    from mmxf.engine.hooks import AtomicCheckpointHook

    def spoil(self, runner, checkpoint):
        checkpoint['state_dict']['out.bias'] = torch.full((1,), 7.)

    monkeypatch.setattr(AtomicCheckpointHook, 'before_save_checkpoint', spoil)
    with pytest.raises(DryRunError, match='1 tensors of the model.*out.bias'):
        dry_run(built(toy, tmp_path))


@pytest.fixture
def toy(monkeypatch):
    from pathlib import Path
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / 'engine'))
    import toy_preload
    return toy_preload.toy_training


def test_a_resumed_run_says_where_it_would_go_on(tmp_path):
    """What lies in the run's folder is found, read, and left as it is."""
    config = write_config(tmp_path, TOY + "default_hooks['checkpoint'].update(interval=3, max_keep_ckpts=1)\n")
    work = tmp_path / 'run'
    tool(tmp_path, 'train', config, '--work-dir', work, '--cfg-options', 'train_cfg.max_iters=3')
    before = {path: path.stat().st_mtime_ns for path in work.rglob('*')}
    assert work / 'iter_3.pth' in before
    said = tool(tmp_path, 'train', config, '--work-dir', work, '--resume', '--dry-run')
    assert f'resume   from {work / "iter_3.pth"}, at iteration 3 of 40' in said and 'for the 37 that are left' in said
    assert {path: path.stat().st_mtime_ns for path in work.rglob('*')} == before


def test_nothing_to_resume(tmp_path, capsys):
    from mmengine.config import ConfigDict

    from mmxf.cli._dry_run import prepare
    from mmxf.config import UserError

    def settings():
        hooks = dict(checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False))
        return ConfigDict(work_dir=str(tmp_path / 'run'), resume=True, load_from=None, default_hooks=hooks)

    cfg = settings()
    os.rmdir(prepare(cfg))
    assert cfg.load_from is None and cfg.resume is False and 'from the beginning' in capsys.readouterr().out
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/iter_3.pth').write_bytes(b'half')
    with pytest.raises(UserError, match='no whole checkpoint'):
        prepare(settings())
    done = DryRun(start=40, iterations=40, resumed='iter_40.pth')
    assert 'at iteration 40 of 40: nothing is left to do' in report(done)
