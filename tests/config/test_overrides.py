"""``--cfg-options``."""

import pytest

from mmxf.config import ConfigError, UserError, load_config
from mmxf.config.overrides import parse_options


def test_values_are_parsed_as_mmengine_does():
    assert parse_options(['a=1', 'b.c=[1,2]', 'd=(a,b)', 'e=None', 'f=true', 'g=x=y', 'h=1,2']) == {
        'a': 1,
        'b.c': [1, 2],
        'd': ('a', 'b'),
        'e': None,
        'f': True,
        'g': 'x=y',
        'h': [1, 2],
    }


def test_values_with_a_dict_are_written_as_in_a_config():
    pairs = ["a=[dict(type='A'), {'b': (1, -2.5)}]", 'b=dict(c=dict(d=None), e=[True])', "c={'x': 1}", 'd={id:06d}.png',
             'e=${name}', 'f=a{1}']
    assert parse_options(pairs) == {
        'a': [{'type': 'A'}, {'b': (1, -2.5)}],
        'b': {'c': {'d': None}, 'e': [True]},
        'c': {'x': 1},
        'd': '{id:06d}.png',
        'e': '${name}',
        'f': 'a{1}',
    }


@pytest.mark.parametrize(
    'pair', ["a=dict(b=open('x'))", 'a=dict(b=c)', 'a=[dict(b=1]', 'a=dict(**b)', "a=dict(b=__import__('os'))"])
def test_nothing_but_literals_is_read(pair):
    with pytest.raises(UserError, match='--cfg-options a=.*literal'):
        parse_options([pair])


@pytest.mark.parametrize('pair', ['lr', '=1', 'a=[1,2'])
def test_a_malformed_pair_is_named(pair):
    with pytest.raises(UserError, match='cfg-options'):
        parse_options([pair])


def test_keys_new_to_the_file_are_allowed_where_the_class_takes_them(toy):
    cfg = load_config(toy, {'model.head.block.kernel_size': 3, 'train_dataloader.dataset.pipeline.0.prob': 0.1})
    assert cfg.model.head.block.kernel_size == 3
    assert cfg.train_dataloader.dataset.pipeline[0].prob == 0.1


@pytest.mark.parametrize(
    ('key', 'hint'),
    [
        ('image_sise', "did you mean 'image_size'"),
        ('train_dataloder.batch_size', "did you mean 'train_dataloader'"),
        ('model.haed.num_queries', "did you mean 'head'"),
        ('optim_wrapper.optimiser.lr', "did you mean 'optimizer'"),
        ('default_hooks.chekpoint.interval', "did you mean 'checkpoint'"),
        ('train_dataloader.dataset.pipeline.7.prob', 'has 2 elements'),
        ('train_dataloader.dataset.pipeline.first', 'takes an index'),
        ('lr.value', 'not a dict'),
    ],
)
def test_keys_that_lead_nowhere_are_errors_even_without_the_check(toy, key, hint):
    with pytest.raises(ConfigError) as error:
        load_config(toy, {key: 1}, check=False)
    (problem,) = error.value.problems
    assert problem.where == 'command line' and hint in problem.message


def test_a_misspelt_argument_is_found_by_the_check(problems, toy):
    (problem,) = problems(toy, {'model.head.block.kernel_sise': 3})
    assert problem.startswith('command line: model.head.block.kernel_sise:') and "'kernel_size'" in problem


def test_an_override_that_nothing_reads_is_said(toy):
    with pytest.warns(UserWarning, match="nothing reads 'lr'"):
        load_config(toy, {'lr': 1.0})
