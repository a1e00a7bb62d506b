"""benchmark and get_flops on a config that lifts poses."""
import json

import pytest
import torch

from mmxf.cli._shares import kind_of, time_shares
from mmxf.cli.benchmark import main as benchmark
from mmxf.cli.get_flops import main as get_flops

CONFIG = 'configs/ktpformer/ktpformer_f27_mini.py'
SMALL = ['--cfg-options', 'num_frames=9', 'model.backbone.depth=1']


def test_benchmark_counts_poses(tmp_path, capsys):
    out = tmp_path / 'numbers.json'
    assert benchmark([CONFIG, '--mode', 'all', '--runs', '1', '--batch', '3', '--no-memory', '--share', '--device', 'cpu',
                      '--json', str(out), *SMALL]) == 0
    rows = json.loads(out.read_text())['rows']
    assert [row['mode'] for row in rows] == ['forward', 'inference', 'train']
    for row in rows:
        assert row['input'] == [3, 9, 17, 2]
        assert row['poses_per_second'] == pytest.approx(27 * 1000 / row['median_ms'])
        assert sum(row['shares'].values()) == pytest.approx(1) and row['shares']['matrix products'] > 0.05
    said = capsys.readouterr().out
    assert 'poses/s' in said and 'matrix products' in said


def test_memory_of_a_training_step(tmp_path):
    out = tmp_path / 'numbers.json'
    assert benchmark([CONFIG, '--mode', 'train', '--runs', '1', '--threads', '1', '--device', 'cpu', '--json', str(out),
                      *SMALL]) == 0
    row = json.loads(out.read_text())['rows'][0]
    assert row['peak_mb'] > 0 and 'memory_error' not in row


@pytest.mark.parametrize('device', [[], ['--device', 'cpu']])
def test_flops_are_those_counted_by_hand(tmp_path, capsys, device):
    out = tmp_path / 'flops.json'
    options = [*SMALL, 'model.backbone.spatial_prior.type=LinearEmbedding', 'model.backbone.temporal_prior=None',
               'model.backbone.channels=32', 'model.backbone.num_heads=4']
    assert get_flops([CONFIG, '--json', str(out), *device, *options]) == 0
    result = json.loads(out.read_text())
    tokens, c = 9 * 17, 32
    linear = 2 * tokens * (2 * c + 3 * c + 2 * 8 * c * c)       # embedding, head, two blocks
    attention = 2 * 2 * c * (9 * 17 * 17 + 17 * 9 * 9)
    assert result['input'] == [1, 9, 17, 2] and result['flops'] == linear + attention
    assert 'one window of poses' in capsys.readouterr().out


def test_operators_are_told_apart():
    kinds = {'aten::mm': 'matrix products', 'aten::addmm_': 'matrix products',
             'mkldnn::_linear_pointwise': 'matrix products', 'aten::bmm': 'matrix products',
             'aten::mkldnn_convolution': 'convolutions', 'aten::native_layer_norm': 'rest', 'aten::sum': 'rest',
             'aten::_scaled_dot_product_flash_attention_for_cpu_backward': 'attention'}
    assert {name: kind_of(name) for name in kinds} == kinds


def test_shares_follow_the_work():
    class Subject:
        device = torch.device('cpu')
        x = torch.ones(400, 400)

        def step(self, mode):
            for _ in range(20):
                self.x @ self.x if mode == 'products' else self.x.exp()

    assert time_shares(Subject(), 'products')['shares']['matrix products'] > 0.8
    found = time_shares(Subject(), 'others')
    assert found['shares']['rest'] > 0.99 and 'aten::exp' in found['rest']
