"""The eval_panoptic command, as users and other programs call it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmxf.cli.eval_panoptic import main
from mmxf.evaluation.panoptic_png import write_panoptic_png

TOOL = Path(__file__).parents[2] / 'tools/eval_panoptic.py'


@pytest.fixture
def files(tmp_path):
    ids = np.array([[1, 1, 1, 2, 2, 0]])
    infos = [{'id': 1, 'category_id': 4, 'area': 3, 'iscrowd': 0}, {'id': 2, 'category_id': 9, 'area': 2, 'iscrowd': 0}]
    categories = [{'id': 4, 'name': 'cat', 'isthing': 1}, {'id': 9, 'name': 'sky', 'isthing': 0}]
    for name in ('gt', 'pred'):
        (tmp_path / name).mkdir()
        write_panoptic_png(tmp_path / name / 'a.png', ids)
        annotation = {'image_id': 'a', 'file_name': 'a.png', 'segments_info': infos}
        (tmp_path / f'{name}.json').write_text(json.dumps({'annotations': [annotation], 'categories': categories}))
    return tmp_path


def test_result_and_table(files, capsys):
    arguments = [
        '--gt',
        f'{files}/gt.json',
        '--gt-dir',
        f'{files}/gt',
        '--pred',
        f'{files}/pred.json',
        '--pred-dir',
        f'{files}/pred',
        '--out',
        f'{files}/new/out.json',
        '--workers',
        '2',
    ]
    assert main(arguments) == 0
    results = json.loads((files / 'new/out.json').read_text())
    assert results['All'] == {'pq': 1.0, 'sq': 1.0, 'rq': 1.0, 'n': 2}
    assert results['Things']['n'] == results['Stuff']['n'] == 1
    assert results['per_class']['4']['pq'] == 1.0 and results['per_class']['4']['name'] == 'cat'
    table = capsys.readouterr().out
    assert 'sky' in table and '100.00' in table


def test_errors_are_messages(files, capsys):
    assert main(['--gt', f'{files}/gt.json', '--pred', f'{files}/none.json']) == 2
    assert 'none.json: no such panoptic JSON' in capsys.readouterr().err
    (files / 'pred/a.png').unlink()
    assert main(['--gt', f'{files}/gt.json', '--pred', f'{files}/pred.json']) == 2
    assert 'error: image a:' in capsys.readouterr().err


@pytest.mark.parametrize('tool', ['eval_panoptic', 'prepare_data'])
def test_help_is_quick(tool, cpu_seconds):
    seconds, _ = cpu_seconds(str(TOOL.with_name(f'{tool}.py')), '--help')
    loaded = subprocess.run(
        [sys.executable, '-c', f'import sys, mmxf.cli.{tool}\nprint(len({{"torch", "mmengine"}} & set(sys.modules)))'],
        capture_output=True,
        text=True,
    )
    assert loaded.stdout.strip() == '0'  # what makes it quick, on a busy machine too
    assert seconds < 1
