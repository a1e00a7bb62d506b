"""Learning rates and weight decays, against numbers by hand and against the official rule written out again."""
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope
from torch import nn

from mmxf.config import UserError
from mmxf.engine.optim import TypedDecayOptimWrapperConstructor
from mmxf.engine.schedulers import TF2WarmupPolyLR


def rates(iterations, **kwargs):
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=5e-4)
    scheduler = TF2WarmupPolyLR(optimizer, **kwargs)
    values = []
    for _ in range(iterations):
        values.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
    return values


def test_official_schedule_by_hand():
    scheduler = TF2WarmupPolyLR(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=5e-4), max_iters=150000)
    by_hand = {0: 0.001, 1: 0.001 * (1 - 1 / 5000) + 1 / 5000, 2500: 0.5005, 4999: 0.9998002,
               5000: 0.969950, 75000: 0.535887, 100000: 0.372041, 149999: 2.195e-05}
    for iteration, factor in by_hand.items():
        assert scheduler.factor(iteration) == pytest.approx(factor, rel=3e-4), iteration
    assert scheduler.factor(150000) == scheduler.factor(150001) == 0


def test_steps_through_a_run():
    values = rates(10, max_iters=10, warmup_iters=4, warmup_factor=0.1, power=0.9)
    expected = [0.1, 0.325, 0.55, 0.775] + [(1 - t / 10) ** 0.9 for t in range(4, 10)]
    assert values == pytest.approx([5e-4 * e for e in expected])


def test_constant_ending_and_end():
    values = rates(10, end=10, by_epoch=False, warmup_iters=0, constant_ending=0.5)
    assert values[4] == pytest.approx(5e-4 * 0.6 ** 0.9) and values[6:] == [2.5e-4] * 4
    for bad in ({}, {'max_iters': 10, 'warmup_iters': -1}):
        with pytest.raises(ValueError, match='max_iters'):
            rates(1, **bad)
    with pytest.raises(UserError, match='by_epoch=False.*max_iters'):      # shown without a traceback
        rates(1, end=1)


class PlainLayerNorm2d(nn.Module):  # as in ConvNeXt's own code: no torch norm
    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))


class ConvBN(nn.Module):  # a container with a norm's name
    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.scale = nn.Parameter(torch.ones(3, 3))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self._query_rpe = nn.Embedding(5, 3)
        self.relative_position_bias_table = nn.Parameter(torch.ones(2, 3))
        self.qkv_bias = nn.Parameter(torch.ones(3))
        self.proj = nn.Linear(3, 3)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), PlainLayerNorm2d(), Attention(), ConvBN())
        self.backbone.gamma = nn.Parameter(torch.ones(3))
        self.decoder = nn.Sequential(Attention(), nn.LayerNorm(3), nn.GroupNorm(1, 3),
                                     nn.InstanceNorm2d(3, affine=True), nn.SyncBatchNorm(3), ConvBN())
        self._cluster_centers = nn.Embedding(3, 4)
        self.tied = self.decoder[0].proj
        self.frozen = nn.Linear(2, 2).requires_grad_(False)


def official(model, norms):
    """name -> (lr, decay), the rule of bytedance/kmax-deeplab's train_net.py written as a decision."""
    result = {}
    for module_name, module in model.named_modules():
        for name, value in module.named_parameters(recurse=False):
            if not value.requires_grad:
                continue
            zero = ('relative_position_bias_table' in name or isinstance(module, norms) or '_rpe' in module_name
                    or '_cluster_centers' in module_name or 'bias' in name or 'gamma' in name)
            full = f'{module_name}.{name}'.lstrip('.')
            result[full] = (5e-4 * (0.1 if 'backbone' in module_name else 1), 0. if zero else 0.05)
    return result


def schedule(name):
    return Config.fromfile(f'configs/_base_/schedules/{name}.py')


def groups(model, cfg=None):
    cfg = cfg or schedule('kmax_coco_150k').optim_wrapper
    wrapper = TypedDecayOptimWrapperConstructor(
        {'type': 'OptimWrapper', 'optimizer': dict(cfg['optimizer'])}, cfg.get('paramwise_cfg'))(model)
    names = {id(p): n for n, p in model.named_parameters()}
    settings = {names[id(p)]: (g['lr'], g['weight_decay']) for g in wrapper.optimizer.param_groups
                for p in g['params']}
    return settings, wrapper


@pytest.fixture(autouse=True)
def at_root(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def compare(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == pytest.approx(theirs[name]), name


def test_groups_follow_the_official_rule():
    model = Model()
    norms = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, PlainLayerNorm2d)
    settings, wrapper = groups(model)
    compare(settings, official(model, norms))
    assert settings['backbone.4.scale'] == pytest.approx((5e-5, 0.05))
    assert len(wrapper.optimizer.param_groups) == 4  # as many as there are different settings


@pytest.mark.parametrize('backbone', ['resnet', 'convnext'])
def test_groups_of_our_kmax_follow_the_official_rule(backbone):
    from mmxf.models.kmax import backbone as backbones
    from mmxf.models.kmax.decoder import KMaXDecoder
    from mmxf.models.kmax.pixel_decoder import KMaXPixelDecoder
    model = nn.Module()
    model.backbone = backbones.KMaXResNet(depth=50) if backbone == 'resnet' else backbones.KMaXConvNeXt()
    widths = (256, 512, 1024, 2048) if backbone == 'resnet' else (96, 192, 384, 768)
    model.head = nn.Module()
    model.head.pixel_decoder = KMaXPixelDecoder(in_channels=widths)
    model.head.decoder = KMaXDecoder(num_classes=133)
    settings, wrapper = groups(model)
    zero = {name for name, (_, decay) in settings.items() if decay == 0}
    assert {n for n in settings if 'rpe' in n or n.endswith('bias') or 'cluster_centers' in n or 'gamma' in n} <= zero
    left = {n: p for n, p in model.named_parameters() if n not in zero and p.requires_grad}
    assert left and all(p.ndim >= 2 for p in left.values())  # what decays is a matrix or a kernel
    modules = dict(model.named_modules())
    for name in zero:
        owner, own = name.rpartition('.')[::2]
        assert (own == 'bias' or 'Norm' in type(modules[owner]).__name__ or 'rpe' in name or 'cluster_centers' in name
                or own == 'gamma'), name
    assert all(lr == pytest.approx(5e-5 if n.startswith('backbone') else 5e-4) for n, (lr, _) in settings.items())


def test_precedence_and_messages():
    model = Model()
    settings, _ = groups(model, {'optimizer': {'type': 'SGD', 'lr': 1., 'weight_decay': 1.}, 'paramwise_cfg': {
        'norm_decay_mult': 0.5, 'bias_decay_mult': 0.25, 'embedding_decay_mult': 0.125, 'bias_lr_mult': 2.,
        'custom_keys': {'decoder': {'lr_mult': 0.1, 'decay_mult': 3.}, 'decoder.0.proj': {'decay_mult': 4.}}}})
    assert settings['decoder.0.proj.weight'] == pytest.approx((0.1, 4.))  # longest key that names the property
    assert settings['decoder.1.weight'] == pytest.approx((0.1, 3.))       # a key comes before the kind
    assert settings['backbone.1.weight'] == pytest.approx((1., 0.5))
    assert settings['backbone.0.bias'] == pytest.approx((2., 0.25))
    assert settings['backbone.1.bias'] == pytest.approx((1., 0.25))
    assert settings['_cluster_centers.weight'] == pytest.approx((1., 0.125))
    optimizer = {'type': 'SGD', 'lr': 1., 'weight_decay': 1.}
    for bad, message in (({'norm_decay_mul': 0.}, "did you mean 'norm_decay_mult'"),
                         ({'custom_keys': {'a': {'lr': 1}}}, r"custom_keys\['a'\]")):
        with pytest.raises(ValueError, match=message):
            TypedDecayOptimWrapperConstructor({'optimizer': optimizer}, bad)


@pytest.mark.skipif(torch.cuda.is_available(), reason='for machines without a GPU')
@pytest.mark.parametrize('name', ['kmax_coco_150k', 'kat_imagenet_300e'])
def test_mixed_precision_becomes_float32_on_the_cpu(name):
    cfg = schedule(name).optim_wrapper
    constructor = TypedDecayOptimWrapperConstructor(
        {k: v for k, v in cfg.items() if k not in ('constructor', 'paramwise_cfg')}, cfg.paramwise_cfg)
    with DefaultScope.overwrite_default_scope('mmxf'):
        assert type(constructor(Model())) is OptimWrapper


@pytest.mark.parametrize('name, iterations, batch, lr', [
    ('kmax_coco_150k', 150000, 64, 5e-4), ('kmax_cityscapes_60k', 60000, 32, 3e-4),
    ('kmax_ade20k_100k', 100000, 64, 5e-4)])
def test_published_schedules(name, iterations, batch, lr):
    cfg = schedule(name)
    assert (cfg.train_cfg.max_iters, cfg.auto_scale_lr.base_batch_size, cfg.optim_wrapper.optimizer.lr) == (
        iterations, batch, lr)
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.05 and cfg.param_scheduler[0].warmup_iters == 5000
