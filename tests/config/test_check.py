"""Validation: wrong configs are explained, right ones pass."""

import pytest

from mmxf.config import ConfigError, load_config
from mmxf.config.signatures import signature_of


def test_the_toy_config_is_right(problems, toy):
    assert problems(toy) == []


def test_a_misspelt_key_names_file_line_class_and_the_right_key(problems, child):
    (problem,) = problems(child('\nmodel = dict(\n    head=dict(\n        num_querys=100))\n'))
    assert 'child.py:5: model.head.num_querys:' in problem
    assert 'toy_parts:ToyHead' in problem
    assert "did you mean 'num_queries'?" in problem


def test_all_problems_are_reported_at_once(problems, child):
    found = problems(
        child("model = dict(head=dict(num_querys=1, block=dict(chanels=1)))\nval_evaluator = [dict(type='ToyMaen')]\n")
    )
    assert len(found) == 3


# Text of a child config, and what the one problem must say.
WRONG = {
    'type of a model': ("model = dict(head=dict(type='ToyHaed'))", ["'ToyHaed'", "did you mean 'ToyHead'"]),
    'type needs a prefix': ("model = dict(head=dict(block=dict(_delete_=True, type='FPN')))", ["'mmdet.FPN'"]),
    'prefix of no library': ("model = dict(head=dict(block=dict(type='mmnix.Block')))", ["no library 'mmnix'"]),
    'type of another registry': ("val_evaluator = [dict(type='ToyTransform')]", ["no metric is called 'ToyTransform'"]),
    'type misspelt': (
        "model = dict(head=dict(block=dict(_delete_=True, tpye='ToyBlock', channels=1)))",
        ["'tpye' must be called 'type'"],
    ),
    'argument missing': (
        "model = dict(head=dict(block=dict(_delete_=True, type='ToyBlock')))",
        ['toy_parts:ToyBlock', "needs 'channels'"],
    ),
    'parent through kwargs': ("train_dataloader = dict(dataset=dict(ann_fil='a.json'))", ["'ann_file'", 'ToyDataset']),
    'model through kwargs': ('model = dict(init_cgf=None)', ["'init_cfg'"]),
    'transform': (
        "train_dataloader = dict(dataset=dict(pipeline=[dict(type='ToyTransform', size=1, porb=1)]))",
        ["'prob'", 'ToyTransform'],
    ),
    'dataloader': ('train_dataloader = dict(num_worker=2)', ["'num_workers'"]),
    'sampler': ('train_dataloader = dict(sampler=dict(shufle=True))', ["'shuffle'", 'DefaultSampler']),
    'collate function': ("train_dataloader = dict(collate_fn=dict(type='pseudo_colate'))", ["'pseudo_collate'"]),
    'optimizer': ('optim_wrapper = dict(optimizer=dict(weight_decy=0.1))', ["'weight_decay'", 'AdamW']),
    'optimizer type': ("optim_wrapper = dict(optimizer=dict(type='AdamWW'))", ["'AdamW'"]),
    'optim wrapper': ('optim_wrapper = dict(clip_gard=dict(max_norm=1))', ["'clip_grad'"]),
    'paramwise': ('optim_wrapper = dict(paramwise_cfg=dict(norm_decay=0))', ["'norm_decay_mult'"]),
    'custom keys': ('optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(x=dict(lr_mul=1))))', ["'lr_mult'"]),
    'schedule': ("param_scheduler = [dict(type='PolyLR', powr=1)]", ["'power'", 'PolyLR']),
    'loop': ('train_cfg = dict(max_iter=3)', ["'max_iters'", 'IterBasedTrainLoop']),
    'loop without kind': ('train_cfg = dict(_delete_=True, max_epochs=3)', ["'by_epoch'"]),
    'hook': ('default_hooks = dict(checkpoint=dict(intervall=3))', ["'interval'", 'CheckpointHook']),
    'name of a hook': ("default_hooks = dict(chekpoint=dict(type='CheckpointHook'))", ['did you mean', 'chekpoint']),
    'custom hook': ("custom_hooks = [dict(type='EMAHok')]", ["'EMAHook'"]),
    'metric': ("val_evaluator = [dict(type='ToyMean', treshold=1)]", ["'threshold'"]),
    'top level': ('train_dataloder = dict()', ["'train_dataloader'"]),
    'environment': ('env_cfg = dict(cudnn_benchmrk=True)', ["'cudnn_benchmark'"]),
    'randomness': ('randomness = dict(sead=1)', ["'seed'"]),
    'visualizer': ("visualizer = dict(type='Visualizer', vis_backend=[])", ["'vis_backends'"]),
    'incomplete': ('val_cfg = None', ['come together or not at all', 'val_cfg is missing']),
    'init_cfg': ("model = dict(init_cfg=dict(type='Pretrained', chekpoint='x'))", ["'checkpoint'"]),
    'import path': (
        "model = dict(head=dict(block=dict(_delete_=True, type='torch.nn.Conv2', out_channels=1)))",
        ["'torch.nn.Conv2'"],
    ),
}


@pytest.mark.parametrize('name', WRONG)
def test_one_mistake_one_problem(problems, child, name):
    text, words = WRONG[name]
    found = problems(child(text + '\n'))
    assert len(found) == 1, found
    for word in words:
        assert word in found[0]


RIGHT = {
    'free variables': 'epochs = 3\ntest_pipline = 4\nmodel_name = 1\nx = test_pipline\n',
    'prefix': "model = dict(head=dict(block=dict(_delete_=True, type='mmxf.ToyBlock', channels=1)))",
    'parent registry': "model = dict(head=dict(block=dict(_delete_=True, type='BN', num_features=1, eps=1e-3)))",
    'import path': "model = dict(head=dict(block=dict(_delete_=True, type='torch.nn.Conv2d', in_channels=1, "
    'out_channels=1, kernel_size=1)))',
    'kwargs swallowed': 'model = dict(head=dict(strides=[4, 8]))',
    'a plain dict': 'model = dict(head=dict(anything=dict(foo=1, bar=dict(x=2))))',
    'loop by epoch': 'train_cfg = dict(_delete_=True, by_epoch=True, max_epochs=2)',
    'by iterations': "param_scheduler = [dict(type='CosineAnnealingLR', T_max=3, convert_to_iter_based=True)]",
    'hook with priority': "custom_hooks = [dict(type='EMAHook', momentum=0.1, priority='HIGH')]",
    'hook with keywords of a named class': "custom_hooks = [dict(type='EMAHook', ema_type='ExpMomentumEMA', gamma=9)]",
    'no hook': 'default_hooks = dict(timer=None)',
    'nested data sets': "train_dataloader = dict(dataset=dict(_delete_=True, type='RepeatDataset', times=2, "
    "dataset=dict(type='ToyDataset', pipeline=[dict(type='ToyTransform', size=1)])))",
    'transforms in transforms': "train_dataloader = dict(dataset=dict(pipeline=[dict(type='RandomApply', prob=0.5, "
    "transforms=[dict(type='ToyTransform', size=1)])]))",
    'keywords of a resize': "train_dataloader = dict(dataset=dict(pipeline=[dict(type='RandomResize', scale=(1, 2), "
    'keep_ratio=True)]))',
    'evaluator': "val_evaluator = dict(_delete_=True, type='Evaluator', metrics=[dict(type='ToyMean')])",
}


@pytest.mark.parametrize('name', RIGHT)
def test_right_configs_pass(problems, child, name):
    assert problems(child(RIGHT[name] + '\n')) == []


def test_class_objects_as_types(problems, tmp_path, toy):
    """Configs in mmengine's pure Python dialect give the class itself."""
    base = load_config(toy)
    base.model.head.block = dict(type='torch.nn.Conv2d', in_channels=1, out_channels=1, kernel_sise=1)
    from torch import nn

    from mmxf.config.check import check_config

    base.model.head.block.type = nn.Conv2d
    (problem,) = [p for p in check_config(base) if 'kernel_sise' in p.key]
    assert "'kernel_size'" in problem.message
    base.model.head.block = dict(type=nn.Conv2d, in_channels=1, out_channels=1, kernel_size=1)
    assert check_config(base) == []


class Root:
    def __init__(self, a, b=1):
        pass


class Middle(Root):
    def __init__(self, *args, c=2, **kwargs):
        super().__init__(*args, b=3, **kwargs)


class Positional(Root):
    def __init__(self, d, **kwargs):
        super().__init__(d, **kwargs)


class Keeps(Root):
    def __init__(self, e, **kwargs):
        super().__init__(1)
        self.kept = kwargs


class Takes(Root):
    def __init__(self, **kwargs):
        f = kwargs.pop('f', None)
        super().__init__(f, **kwargs)


@pytest.mark.parametrize(
    ('cls', 'names', 'required', 'is_open'),
    [
        (Root, {'a', 'b'}, {'a'}, False),
        (Middle, {'a', 'c'}, {'a'}, False),  # b is passed by the class itself
        (Positional, {'d', 'b'}, {'d'}, False),  # a is filled by position
        (Keeps, {'e'}, {'e'}, True),
        (Takes, {'f', 'b'}, set(), False),
    ],
)
def test_signatures_follow_keywords(cls, names, required, is_open):
    signature = signature_of(cls)
    assert set(signature.names) == names
    assert signature.required == required
    assert signature.open is is_open


def test_the_report_names_the_file_and_counts(child):
    with pytest.raises(ConfigError, match=r'child\.py: 2 problems in the config'):
        load_config(child('model = dict(head=dict(num_querys=1, block=dict(chanels=1)))\n'))
