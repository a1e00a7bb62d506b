"""Two processes (gloo) give the losses of one with the same global batch; a NaN on one stops both."""
import json

import pytest
import torch


def losses(folder, rank=0):
    return {int(k): v for k, v in json.loads((folder / f'losses_{rank}.json').read_text()).items()}


def finish(runs):
    for run in runs:
        assert run.finish() == 0, run.output


def test_two_processes_equal_one(start_two, toy, tmp_path):
    """The model has no batch norm here: its statistics are per process unless SyncBN makes them common."""
    kwargs = {'length': 6, 'interval': 3, 'model': {'quiet': True}, 'val': 3}
    toy.train(work_dir=str(tmp_path / 'one'), batch=8, **kwargs)
    finish(start_two(work_dir=str(tmp_path / 'two'), batch=4, **kwargs))
    one, first, second = losses(tmp_path / 'one'), losses(tmp_path / 'two'), losses(tmp_path / 'two', 1)
    assert len(one) == 6
    for iteration in one:
        mean = (torch.tensor(first[iteration]) + torch.tensor(second[iteration])) / 2
        assert torch.allclose(mean, torch.tensor(one[iteration]), rtol=1e-5), iteration
    a, b = (torch.load(tmp_path / name / 'final.pth', map_location='cpu') for name in ('one', 'two'))
    assert all(torch.allclose(a[key], b[key], rtol=1e-4, atol=1e-6) for key in a)


def test_two_processes_continue_exactly(start_two, tmp_path):
    """Batch norm, dropout, augmentation, and a checkpoint inside a window of accumulation, where gradients differ."""
    kwargs = {'work_dir': str(tmp_path), 'length': 6, 'interval': 2, 'batch': 3, 'accumulate': 3}
    finish(start_two(**kwargs))
    whole = torch.load(tmp_path / 'final.pth')
    (tmp_path / 'iter_6.pth').unlink()
    finish(start_two(resume=True, **kwargs))
    again = torch.load(tmp_path / 'final.pth')
    assert all(torch.equal(again[key], whole[key]) for key in whole)


@pytest.mark.slow
def test_nan_on_one_process_stops_both(torchrun, tmp_path):
    result = torchrun(2, work_dir=str(tmp_path), length=50, interval=1, batch=2, data={'nan': (17,), 'plain': True})
    assert result.returncode != 0
    assert result.stderr.count('mmxf.engine.hooks.non_finite_loss_hook.NonFiniteLossError') >= 2, \
        result.stderr[-3000:]
    report = json.loads((tmp_path / 'non_finite_loss.json').read_text())
    assert len(report['ranks']) == 1 and 'image_17.jpg' in report['ranks'][0]['images']
    assert (tmp_path / 'last_checkpoint').read_text().endswith(f'iter_{report["iteration"] - 1}.pth')
