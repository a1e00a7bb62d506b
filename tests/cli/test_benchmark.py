import json

import numpy as np
import pytest
import torch
from toy import write_toy

from mmxf.cli import _measure
from mmxf.cli.benchmark import main


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    config = write_toy(folder)
    (folder / 'broken.py').write_text(
        config.read_text().replace("type='ToySegmentor'", "type='BrokenSegmentor'")
    )
    return config


def test_all_modes_of_two_configs_side_by_side(config, tmp_path, capsys):
    out = tmp_path / 'numbers.json'
    assert (
        main([
            str(config),
            str(config),
            '--mode',
            'all',
            '--shape',
            '64',
            '96',
            '--batch',
            '2',
            '--runs',
            '3',
            '--no-memory',
            '--device',
            'cpu',
            '--json',
            str(out),
        ])
        == 0
    )
    rows = json.loads(out.read_text())['rows']
    assert [r['mode'] for r in rows] == ['forward'] * 2 + ['inference'] * 2 + ['train'] * 2
    for row in rows:
        assert row['input'] == [2, 3, 64, 96] and row['runs'] == 3
        assert 0 < row['min_ms'] <= row['median_ms']
        assert row['images_per_second'] == pytest.approx(2000 / row['median_ms'])
    assert rows[0]['ratio_time'] == 1
    assert rows[1]['ratio_time'] == pytest.approx(rows[1]['median_ms'] / rows[0]['median_ms'])
    assert 'ratios are to the first config' in capsys.readouterr().out


def test_a_model_that_fails_does_not_hide_the_others(config, capsys):
    assert (
        main([
            str(config.parent / 'broken.py'),
            str(config),
            '--runs',
            '1',
            '--no-memory',
            '--device',
            'cpu',
            '--dtype',
            'bfloat16',
        ])
        == 1
    )
    lines = capsys.readouterr().out.splitlines()
    assert any('broken' in line and 'failed: RuntimeError: this model is broken' in line for line in lines)
    assert any(line.startswith('inference') and '1.00' in line for line in lines)


@pytest.mark.skipif(
    not _measure.reset_peak(), reason='this kernel does not let a process reset its peak memory'
)
def test_peak_memory_sees_what_a_step_takes(monkeypatch):
    class Subject:
        device = torch.device('cpu')
        size = 0

        def __init__(self, spec, training, evaluation):
            pass

        def step(self, mode):
            np.ones(self.size, np.uint8)

    monkeypatch.setattr(_measure, 'Subject', Subject)
    Subject.size = 1
    small = _measure.peak_memory({}, 'forward')
    Subject.size = 64 * 2**20
    large = _measure.peak_memory({}, 'forward')
    assert small['peak_mb'] < 16 and 62 < large['peak_mb'] < 90
    assert large['total_mb'] == pytest.approx(large['baseline_mb'] + large['peak_mb'])


def test_memory_is_measured_in_a_process_of_its_own(config, tmp_path):
    out = tmp_path / 'numbers.json'
    assert (
        main([
            str(config),
            '--mode',
            'train',
            '--shape',
            '256',
            '--runs',
            '1',
            '--threads',
            '1',
            '--device',
            'cpu',
            '--json',
            str(out),
        ])
        == 0
    )
    row = json.loads(out.read_text())['rows'][0]
    assert row['threads'] == 1 and row['peak_mb'] > 0 and 'memory_error' not in row


@pytest.mark.parametrize('wrong', [['--runs', '0'], ['--mode', 'fast'], ['--shape', '0']])
def test_bad_arguments_are_refused(config, wrong):
    with pytest.raises(SystemExit):
        main([str(config), *wrong])
