"""Where a key was written: through variables, bases, copies and loops."""

from mmxf.config.locations import Locations


def where(folder, text, key, name='config.py'):
    path = folder / name
    path.write_text(text)
    return Locations.of(str(path)).where(tuple(key.split('.'))).rsplit('/', 1)[-1]


def test_lines_inside_one_literal(tmp_path):
    text = "model = dict(\n    a=1,\n    b=dict(\n        c=[\n            dict(d=2),\n            {'e': 3}]))\n"
    assert where(tmp_path, text, 'model.a') == 'config.py:2'
    assert where(tmp_path, text, 'model.b.c.0.d') == 'config.py:5'
    assert where(tmp_path, text, 'model.b.c.1.e') == 'config.py:6'
    assert where(tmp_path, text, 'model.b.absent') == 'config.py:3', 'the nearest key around it'


def test_a_variable_keeps_the_line_where_it_was_written(tmp_path):
    assert where(tmp_path, 'part = dict(\n    a=1)\n\nmodel = dict(part=part)\n', 'model.part.a') == 'config.py:2'


def test_the_last_writer_wins_and_bases_are_named(tmp_path):
    (tmp_path / 'base.py').write_text('model = dict(\n    a=1,\n    b=2)\n')
    text = "_base_ = 'base.py'\n\nmodel = dict(b=3)\n"
    assert where(tmp_path, text, 'model.a') == 'base.py:2'
    assert where(tmp_path, text, 'model.b') == 'config.py:3'


def test_base_variables_bring_their_lines(tmp_path):
    (tmp_path / 'base.py').write_text('pipeline = [\n    dict(a=1),\n    dict(a=2)]\n')
    text = "_base_ = 'base.py'\nx = _base_.pipeline\ny = {{_base_.pipeline}}\n"
    assert where(tmp_path, text, 'x.1.a') == 'base.py:3'
    assert where(tmp_path, text, 'y.0.a') == 'base.py:2'


def test_delete_forgets_the_base(tmp_path):
    (tmp_path / 'base.py').write_text('model = dict(\n    a=1)\n')
    assert (
        where(tmp_path, "_base_ = 'base.py'\nmodel = dict(_delete_=True,\n             b=1)\n", 'model.a')
        == 'config.py:2'
    )


def test_python_that_changes_dicts(tmp_path):
    text = (
        'import copy\n'
        'a = dict(x=1)\n'
        'b = copy.deepcopy(a)\n'
        "b['y'] = 2\n"
        'b.update(z=3)\n'
        'b.update(dict(\n'
        '    w=4))\n'
        'c = dict(**b, v=5)\n'
        'd = [dict(n=i) for i in range(2)]\n'
    )
    for key, line in {'b.x': 2, 'b.y': 4, 'b.z': 5, 'b.w': 7, 'c.x': 2, 'c.w': 7, 'c.v': 8, 'd.1.n': 9}.items():
        assert where(tmp_path, text, key) == f'config.py:{line}', key


def test_files_that_are_no_python_are_searched_by_word(tmp_path):
    assert where(tmp_path, 'model:\n  a: 1\n  num_querys: 2\n', 'model.num_querys', 'config.yaml') == 'config.yaml:3'
