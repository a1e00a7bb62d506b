"""``${...}``: one value, one place."""

import pytest

from mmxf.config import ConfigError, load_config


def test_a_lone_reference_keeps_its_type_and_a_longer_string_is_formatted(child):
    cfg = load_config(child("ann = '${data_root}a.json'\nnested = [('${image_size}', dict(x='${lr}'))]\n"), check=False)
    assert cfg.train_dataloader.dataset.pipeline[0].size == (8, 16)
    assert cfg.train_dataloader.dataset.data_root == 'data/toy/'
    assert cfg.ann == 'data/toy/a.json'
    assert cfg.nested == [((8, 16), {'x': 0.1})]


def test_references_see_overrides(toy):
    cfg = load_config(toy, {'image_size': (32, 32), 'data_root': 'mine/'})
    assert cfg.train_dataloader.dataset.pipeline[1].size == (32, 32)
    assert cfg.val_dataloader.dataset.data_root == 'mine/'


def test_a_reference_walks_into_dicts_and_lists(child):
    cfg = load_config(child("rate = '${optim_wrapper.optimizer.lr}'\nwidth = '${image_size.1}'\n"), check=False)
    assert cfg.rate == 0.1 and cfg.width == 16


def test_a_referenced_dict_is_a_copy(child):
    cfg = load_config(child("one = dict(a=1)\ntwo = '${one}'\n"), check=False)
    cfg.two.a = 2
    assert cfg.one.a == 1


def test_num_classes_comes_from_the_data_set_class(toy):
    assert load_config(toy).model.head.num_classes == 3


@pytest.mark.parametrize(
    'dataset',
    [
        "dict(type='ToyDataset', metainfo=dict(classes=('a', 'b')))",
        "dict(type='RepeatDataset', times=2, dataset=dict(type='ToyDataset', metainfo=dict(classes=('a', 'b'))))",
        "dict(type='ConcatDataset', datasets=[dict(type='ToyDataset', metainfo=dict(classes=('a', 'b')))])",
    ],
)
def test_num_classes_comes_from_metainfo_through_wrappers(child, dataset):
    path = child(f'train_dataloader = dict(dataset=dict(_delete_=True, **{dataset}))\n')
    assert load_config(path).model.head.num_classes == 2


def test_a_num_classes_of_the_config_comes_first(child):
    assert load_config(child('num_classes = 7\n')).model.head.num_classes == 7


def test_num_classes_without_classes_says_what_to_write(child):
    path = child("train_dataloader = dict(dataset=dict(_delete_=True, type='BaseDataset'))\n")
    with pytest.raises(ConfigError, match=r"'BaseDataset' names no classes; give it metainfo"):
        load_config(path, check=False)


def test_an_unknown_reference_is_reported_with_file_line_and_nearest_name(child):
    path = child("\nmodel = dict(\n    head=dict(\n        num_queries='${image_sise}'))\n")
    with pytest.raises(ConfigError) as error:
        load_config(path, check=False)
    (problem,) = error.value.problems
    assert problem.where.endswith('child.py:5')
    assert problem.key == 'model.head.num_queries'
    assert "did you mean 'image_size'" in problem.message


def test_an_unknown_reference_in_a_list_of_a_base_names_the_base(toy, tmp_path):
    path = tmp_path / 'no_size.py'
    path.write_text(f'_base_ = [{str(toy.parent / "_base_" / "data.py")!r}]\n')
    with pytest.raises(ConfigError) as error:
        load_config(path, check=False)
    assert {problem.where.rsplit('/', 1)[1] for problem in error.value.problems} == {'data.py:3', 'data.py:4'}


def test_a_circle_is_named(child):
    with pytest.raises(ConfigError, match=r'\$\{b\} -> \$\{c\} -> \$\{b\}|\$\{c\} -> \$\{b\} -> \$\{c\}'):
        load_config(child("b = '${c}'\nc = 'x${b}'\n"), check=False)


def test_thing_labels_follow_the_metainfo(child, monkeypatch, toy_parts):
    path = child("things = '${thing_labels}'\n")
    assert load_config(path).things == [0, 1, 2], 'without a list of things all are'
    monkeypatch.setattr(toy_parts.ToyDataset, 'METAINFO', {'classes': ('cat', 'dog', 'sky'), 'thing_classes': ('dog',)})
    assert load_config(path).things == [1]
    path = child(
        "things = '${thing_labels}'\n"
        "train_dataloader = dict(dataset=dict(metainfo=dict(classes=('sky', 'cow', 'dog'))))\n"
    )
    assert load_config(path).things == [2], 'as the data set itself will see it'
