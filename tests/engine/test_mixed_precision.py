"""Steps whose loss or cost is not finite are left out by all ranks; batches are kept; rollback; float32 where it matters."""
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from scipy import optimize

from mmxf.engine.hooks import Float32LossHook, NonFiniteLossError
from mmxf.engine.roll_back import NothingToRollBackToError
from mmxf.matchers import finite_assignment as module
from mmxf.matchers.finite_assignment import finite_assignment, finite_assignments, take_non_finite_cost

PLAIN = dict(plain=True)


def hook(**kwargs):
    return [dict(type='NonFiniteLossHook', **kwargs)]


def poison(toy, monkeypatch, iterations, value=float('nan')):
    """The loss is not finite in these calls (from 1)."""
    forward, calls = toy.ToyModel.forward, []

    def spoilt(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            calls.append(1)
            if len(calls) in iterations:
                inputs = [x * value for x in inputs]
        out = forward(self, inputs, data_samples, mode)
        if mode == 'loss':
            if len(calls) in iterations:
                out['loss_square'] = out['loss_square'] * value
        return out

    monkeypatch.setattr(toy.ToyModel, 'forward', spoilt)
    return calls


def states(toy, folder, monkeypatch, **kwargs):
    """Weights after every iteration."""
    found, update = [], toy.Runner.call_hook

    def watch(self, name, **more):
        update(self, name, **more)
        if name == 'after_train_iter':
            found.append([w.detach().clone() for w in self.model.parameters()])

    with monkeypatch.context() as patch:
        patch.setattr(toy.Runner, 'call_hook', watch)
        runner = toy.train(work_dir=str(folder), **kwargs)
    return found, runner


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_step_is_left_out(toy, tmp_path, monkeypatch, value):
    poison(toy, monkeypatch, {3}, value)
    weights, runner = states(toy, tmp_path, monkeypatch, length=6, hooks=hook(patience=1), data=PLAIN)
    changes = [not equal(a, b) for a, b in zip(weights, weights[1:])]
    assert changes == [True, False, True, True, True]
    assert all(torch.isfinite(w).all() for w in runner.model.state_dict().values()), 'batch statistics, too'
    assert json.loads((tmp_path / 'non_finite_loss.json').read_text())['iteration'] == 3
    logged = runner.message_hub.get_scalar('train/loss_abs').data[0]
    assert np.isfinite(logged).all(), 'the log keeps its means'
    (dump,) = (tmp_path / 'non_finite').glob('*.pth')
    content = torch.load(dump, weights_only=True)
    assert dump.name == 'iter_3_rank_0.pth' and len(content['images']) == 4 == len(content['batch']['inputs'])
    assert content['batch']['data_samples'][0]['metainfo']['target'] > 0
    assert not math.isfinite(content['losses']['loss_square'])


def test_other_steps_of_a_window_count(toy, tmp_path, monkeypatch):
    """Of three accumulated steps the second is left out, then all three; then the last."""
    poison(toy, monkeypatch, {2, 4, 5, 6, 9})
    weights, _ = states(toy, tmp_path, monkeypatch, length=9, accumulate=3, hooks=hook(patience=3), data=PLAIN)
    changes = [not equal(a, b) for a, b in zip(weights, weights[1:])]
    assert changes == [False, True, False, False, False, False, False, True]


def test_too_many_in_a_row_stop(toy, tmp_path, monkeypatch):
    poison(toy, monkeypatch, {2, 3, 5, 6, 7})
    with pytest.raises(NonFiniteLossError, match='iteration 7; the run stops.*3 in a row being more than patience=2'):
        toy.train(work_dir=str(tmp_path), length=9, interval=1, hooks=hook(patience=2), data=PLAIN)
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_6.pth')


def test_rollback(toy, tmp_path, monkeypatch):
    calls = poison(toy, monkeypatch, {6, 7})
    kwargs = dict(length=9, interval=4, hooks=hook(patience=1, then='rollback'), data=PLAIN, ema=True)
    weights, runner = states(toy, tmp_path, monkeypatch, **kwargs)
    assert len(calls) == 9 == runner.iter, 'iterations go on'
    assert not equal(weights[4], weights[3]) and equal(weights[6], weights[3]), 'after 7 the weights are those of 4'
    assert not equal(weights[7], weights[6])
    rates = [group['lr'] for group in runner.optim_wrapper.optimizer.param_groups]
    assert rates[0] == pytest.approx(0.01 * (1 - 9 / 9) ** 0.9, abs=1e-3), 'the schedule goes on'


def test_rollbacks_have_an_end(toy, tmp_path, monkeypatch):
    poison(toy, monkeypatch, set(range(4, 20)))
    with pytest.raises(NonFiniteLossError, match='after 2 rollbacks'):
        toy.train(work_dir=str(tmp_path / 'a'), length=20, interval=2, data=PLAIN,
                  hooks=hook(then='rollback', max_rollbacks=2))
    monkeypatch.undo()
    poison(toy, monkeypatch, {1})
    with pytest.raises(NothingToRollBackToError, match='has none yet'):
        toy.train(work_dir=str(tmp_path / 'b'), length=20, interval=50, hooks=hook(then='rollback'), data=PLAIN)
    with pytest.raises(ValueError, match="'stop' or 'rollback', got 'halt'"):
        toy.train(work_dir=str(tmp_path / 'c'), length=2, hooks=hook(then='halt'))


def test_two_ranks_leave_the_step_out_together(start_two, tmp_path):
    """One rank sees the bad image; weights stay finite and the same on both, and the run reaches its end."""
    runs = start_two(work_dir=str(tmp_path), length=12, interval=6, batch=2, accumulate=2, hooks=hook(patience=2),
                     data=dict(plain=True, nan=(17,)))
    for run in runs:
        assert run.finish() == 0, run.output
    assert all(torch.isfinite(w).all() for w in torch.load(tmp_path / 'final.pth').values() if w.is_floating_point())
    report = json.loads((tmp_path / 'non_finite_loss.json').read_text())
    assert len(report['ranks']) == 1 and 'image_17.jpg' in report['ranks'][0]['images']
    dumps = [path.name for path in (tmp_path / 'non_finite').glob('*')]
    assert dumps and all(name.endswith(f'rank_{report["ranks"][0]["rank"]}.pth') or len(dumps) > 1 for name in dumps)


def test_costs_that_are_not_finite():
    cost = np.array([[1., 5.], [5., np.nan]])
    with pytest.raises(ValueError):
        optimize.linear_sum_assignment(cost)
    assert [side.tolist() for side in finite_assignment(cost)] == [[0, 1], [1, 0]], 'NaN is dear'
    assert take_non_finite_cost() and not take_non_finite_cost(), 'noted once'
    assert finite_assignment(cost[:, :1])[0].tolist() == [0] and not take_non_finite_cost()
    assert [side.tolist() for side in finite_assignment(-cost, maximize=True)] == [[0, 1], [1, 0]]
    take_non_finite_cost()
    with pytest.raises(ValueError, match='matrix'):
        finite_assignment(np.zeros(3))


def test_a_cost_leaves_the_step_out(toy, tmp_path, monkeypatch):
    """In a matcher that has imported scipy's function, as mmdet's and kMaX's have."""
    from mmxf.models.kmax import matcher
    forward, calls = toy.ToyModel.forward, []

    def matching(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            calls.append(1)
            matcher.linear_sum_assignment(np.full((2, 2), np.nan if len(calls) == 2 else 1.))
        return forward(self, inputs, data_samples, mode)

    monkeypatch.setattr(toy.ToyModel, 'forward', matching)
    weights, _ = states(toy, tmp_path, monkeypatch, length=4, hooks=hook(patience=1), data=PLAIN)
    assert [not equal(a, b) for a, b in zip(weights, weights[1:])] == [False, True, True]
    assert json.loads((tmp_path / 'non_finite_loss.json').read_text())['ranks'][0]['losses']['matching cost'] == 'nan'
    assert matcher.linear_sum_assignment is module._plain_assignment, 'put back'
    with finite_assignments():
        assert matcher.linear_sum_assignment is finite_assignment


class SquareLoss(torch.nn.Module):
    def forward(self, x, others=(), sample=None):
        self.seen = [x.dtype, *(other.dtype for other in others), torch.mm(x, x.T).dtype]
        if sample is not None:
            self.seen.append(sample.scores.dtype)
        return (x ** 2).sum()


class Assigner:
    def assign(self, pred, gt=None):
        self.seen = [pred.scores.dtype, torch.mm(pred.scores, pred.scores).dtype]
        return 'matched'


class Head(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.loss_square, self.assigner, self.layer = SquareLoss(), Assigner(), torch.nn.Linear(4, 4)


def test_losses_and_matchers_get_float32():
    from types import SimpleNamespace
    head, float32 = Head(), Float32LossHook()
    runner = SimpleNamespace(model=torch.nn.ModuleDict(dict(head=head)))
    sample = InstanceData(scores=torch.ones(2, 2, dtype=torch.bfloat16), labels=torch.ones(2, dtype=torch.long))
    for on in (False, True):
        if on:
            float32.before_train(runner)
        with torch.autocast('cpu', torch.bfloat16):
            features = head.layer(torch.full((1, 4), 300.))
            assert features.dtype == torch.bfloat16, 'the network itself is in half precision'
            loss = head.loss_square(features, [features], sample=sample)
            assert head.assigner.assign(sample) == 'matched'
        wanted = torch.float32 if on else torch.bfloat16
        assert head.loss_square.seen == [wanted] * 4 and head.assigner.seen == [wanted] * 2
    loss.backward()
    assert head.layer.weight.grad is not None and sample.scores.dtype == torch.bfloat16, 'arguments stay as they were'
    head.loss_square(features.detach())
    assert head.loss_square.seen == [torch.bfloat16] * 2, 'without autocast nothing changes'
    float32.after_train(runner)
    assert 'forward' not in vars(head.loss_square) and 'assign' not in vars(head.assigner)


@pytest.mark.parametrize('name, parts', [('kmax/kmax_r18_mini', {'KMaXLoss'}),
                                         ('ktpformer/ktpformer_f27_mini', {'PoseLiftingLoss'}),
                                         ('kat/kat_detection_mini', {'CrossEntropyLoss', 'MaxIoUAssigner'})])
def test_residents_have_parts_that_it_finds(name, parts):
    from pathlib import Path

    from mmxf.apis import open_config
    from mmxf.apis.init_model import build_model
    from mmxf.engine.hooks.float32_loss_hook import loss_parts
    model = build_model(open_config(Path(__file__).parents[2] / f'configs/{name}.py'), seed=0)
    assert parts <= {type(owner).__name__ for owner, _ in loss_parts(model)}


@pytest.mark.parametrize('bf16, wanted', [(True, ('bfloat16', 1.0)), (False, ('float16', 'dynamic'))])
def test_the_type_is_the_one_that_the_gpu_has(monkeypatch, bf16, wanted):
    """With a GPU that is not there: what the wrapper would be made with."""
    from mmengine.registry import DefaultScope

    from mmxf.engine.optim import mixed_precision as chooser
    from mmxf.registry import OPTIM_WRAPPERS

    module = sys.modules[chooser.__module__]
    monkeypatch.setattr(module, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_bf16_supported', lambda including_emulation=True: bf16)
    made = {}
    monkeypatch.setattr(module, 'AmpOptimWrapper', lambda **kwargs: made.update(kwargs))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.)
    with DefaultScope.overwrite_default_scope('mmxf'):
        OPTIM_WRAPPERS.build(dict(type='MixedPrecisionOptimWrapper', optimizer=optimizer, clip_grad=dict(max_norm=1.)))
    assert (made['dtype'], made['loss_scale']) == wanted and made['clip_grad'] == dict(max_norm=1.)
    module.mixed_precision(optimizer, dtype='float16', loss_scale=512.)
    assert (made['dtype'], made['loss_scale']) == ('float16', 512.), 'what a config says stays'
    with pytest.raises(ValueError, match="'auto'.*'half'"):
        module.mixed_precision(optimizer, dtype='half')


def test_every_config_of_mixed_precision_leaves_the_type_to_the_machine():
    """One mechanism for all papers: no config names a type of its own."""
    text = {path: path.read_text() for path in (Path(__file__).parents[2] / 'configs').rglob('*.py')}
    assert sum('MixedPrecisionOptimWrapper' in words for words in text.values()) >= 3
    assert not [str(path) for path, words in text.items() if 'AmpOptimWrapper' in words or "dtype='float16'" in words
                or "dtype='bfloat16'" in words]
