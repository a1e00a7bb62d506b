"""Deterministic runs repeat bit for bit, and name what could keep them from it."""
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from test_atomic_checkpoints import run

from mmxf.engine import load_file

ROOT = Path(__file__).resolve().parents[2]
HOOK = [dict(type='DeterminismHook')]


def said(caplog) -> str:
    return '\n'.join(record.getMessage() for record in caplog.records)


def test_every_operation_that_was_met_is_listed_once(toy, tmp_path, monkeypatch, caplog):
    """``put_`` has no deterministic implementation on any device."""
    caplog.set_level(logging.INFO)
    forward = toy.ToyModel.forward

    def with_put(self, *args, **kwargs):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1., 2.]))
        return forward(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(toy.ToyModel, 'forward', with_put)
        run(toy, tmp_path / 'a', caplog, length=4, hooks=HOOK)
    text = said(caplog)
    assert text.count('put_ has no deterministic implementation') == 1 and '1 operations' in text and 'may differ' in text
    assert not torch.are_deterministic_algorithms_enabled(), 'put back'
    caplog.clear()
    run(toy, tmp_path / 'b', caplog, length=4, hooks=HOOK)
    assert 'No operation without a deterministic implementation was met' in said(caplog)


def test_seeds_are_in_the_log_and_in_the_checkpoint(toy, tmp_path, caplog):
    """Also those that were drawn, because the config names none."""
    caplog.set_level(logging.INFO)
    built = run(toy, tmp_path, caplog, length=2, seed=None, hooks=HOOK)
    content = load_file(tmp_path / 'iter_2.pth')
    stream = content['training_state']['stream']['seed']
    assert content['meta']['seed'] == built.seed and f'seed {built.seed}, data stream seed {stream}' in said(caplog)


@pytest.mark.slow
def test_two_runs_are_equal(tmp_path):
    """Also tests/models/test_kmax_resume.py, with two threads."""
    data = tmp_path / 'data'
    env = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}
    subprocess.run([sys.executable, str(ROOT / 'tools/make_miniworld.py'), '--root', str(data), '--people', '--frames',
                    '60'], check=True, capture_output=True, env=env)
    states = []
    for attempt in 'ab':
        done = subprocess.run(
            [sys.executable, str(ROOT / 'tools/train.py'), str(ROOT / 'configs/ktpformer/ktpformer_f27_mini.py'),
             '--deterministic', '--no-validate', '--work-dir', str(tmp_path / attempt), '--cfg-options', f'data_root={data}/',
             'train_cfg.max_iters=3', 'default_hooks.checkpoint.interval=3', 'train_dataloader.batch_size=2'],
            capture_output=True, text=True, env=env)
        text = done.stdout + done.stderr
        assert done.returncode == 0, text
        assert 'Deterministic run: seed 0' in text and 'was met: the same seed gives the same bits' in text
        states.append(load_file(tmp_path / attempt / 'iter_3.pth')['state_dict'])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
