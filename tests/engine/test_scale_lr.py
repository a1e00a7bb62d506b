"""The learning rate follows the batch size, by default, in one line."""
import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mmxf.engine.scale_lr import BatchSizeError, base_rate, install, scale_learning_rate


@pytest.fixture
def wrapper():
    def build(accumulate=1):
        weight, bias = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
        groups = [dict(params=[weight], lr=0.1), dict(params=[bias], lr=0.01)]
        return OptimWrapper(torch.optim.SGD(groups, lr=0.02), accumulative_counts=accumulate)
    return build


def runner(batch=2, world_size=1, said=None):
    log = SimpleNamespace(info=lambda text: said is not None and said.append(text),
                          warning=lambda text: said is not None and said.append('warning: ' + text))
    return SimpleNamespace(_train_dataloader=dict(batch_size=batch), world_size=world_size, logger=log)


@pytest.mark.parametrize('batch, processes, accumulate, factor', [(2, 1, 1, 1 / 8), (2, 8, 1, 1), (4, 8, 2, 4), (2, 1, 4, 1 / 2)])
def test_linear_in_the_real_batch(wrapper, batch, processes, accumulate, factor):
    said, optim = [], wrapper(accumulate)
    assert scale_learning_rate(runner(batch, processes, said), optim, dict(base_batch_size=16)) == factor
    assert [group['lr'] for group in optim.optimizer.param_groups] == pytest.approx([0.1 * factor, 0.01 * factor])
    assert base_rate(optim) == optim.get_lr()['base_lr'][0] == pytest.approx(0.02 * factor), 'as the log has it'
    assert len(said) == 1 and str(batch * processes * accumulate) in said[0] and 'rate 0.02' in said[0]


def test_switches(wrapper):
    for cfg in (None, {}, dict(enable=False)):
        said, optim = [], wrapper()
        assert scale_learning_rate(runner(said=said), optim, cfg) is None and not said
    said, optim = [], wrapper()
    assert scale_learning_rate(runner(said=said), optim, dict(enable=False, base_batch_size=4)) == 1
    assert optim.optimizer.param_groups[0]['lr'] == 0.1 and 'not scaled' in said[0] and '0.01' in said[0], 'off, and said'
    two = OptimWrapperDict(a=wrapper(), b=wrapper())
    scale_learning_rate(runner(), two, dict(base_batch_size=4))
    assert [w.optimizer.param_groups[0]['lr'] for w in two.values()] == [0.05, 0.05]
    with pytest.raises(BatchSizeError, match='needs auto_scale_lr.base_batch_size'):
        scale_learning_rate(runner(), wrapper(), dict(enable=True))
    with pytest.raises(BatchSizeError, match='base_batch_size=0 is no number'):
        scale_learning_rate(runner(), wrapper(), dict(base_batch_size=0))


def test_the_schedule_starts_from_the_scaled_rate(toy, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    cfg = toy.config(str(tmp_path), length=4, interval=9)
    cfg.auto_scale_lr = dict(base_batch_size=16)
    built = toy.Runner.from_cfg(cfg)
    install(built)
    built.train()
    assert {group['initial_lr'] for group in built.optim_wrapper.optimizer.param_groups} == {0.0025, 0.00125}
