import json

import pytest
import torch
from toy import write_toy

from mmxf.cli.get_flops import count_flops, count_without_products, main


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp('toy'))


@pytest.mark.parametrize('device', [[], ['--device', 'cpu']])
def test_numbers_are_those_counted_by_hand(config, tmp_path, capsys, device):
    out = tmp_path / 'flops.json'
    assert main([str(config), '--shape', '64', '96', '--json', str(out), *device]) == 0
    result = json.loads(out.read_text())
    cells = 16 * 24
    backbone, masks, classes = 2 * cells * 8 * 3 * 16, 2 * cells * 3 * 8, 2 * 3 * 8 * 4
    assert result['flops'] == backbone + masks + classes and result['gmacs'] == result['flops'] / 2e9
    modules = {m['name']: m for m in result['modules']}
    assert modules['backbone']['flops'] == backbone and modules['head.masks']['flops'] == masks
    # The head is a container whose children are called one by one.
    assert modules['head']['flops'] == masks + classes and modules['auxiliary']['training_only']
    assert result['input'] == [1, 3, 64, 96]
    assert result['parameters'] - result['parameters_inference'] == 3 * 8 + 3
    said = capsys.readouterr().out
    assert 'training only' in said and 'GMACs' in said


def test_the_configs_own_size_is_the_default(config, tmp_path):
    assert main([str(config), '--json', str(tmp_path / 'o.json')]) == 0
    assert json.loads((tmp_path / 'o.json').read_text())['input'] == [1, 3, 48, 64]


def test_modules_called_by_their_forward_have_their_childrens_flops():
    class Inner(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.ModuleList([torch.nn.Linear(4, 4, bias=False)])

        def forward(self, x):
            return self.layers[0](x)

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, inputs, data_samples, mode):
            return self.inner.forward(inputs)

    counts = count_flops(Outer(), dict(inputs=torch.zeros(1, 4), data_samples=None))
    assert counts[''] == counts['inner'] == counts['inner.layers'] == counts['inner.layers.0'] == 32


def test_bad_shapes_and_paths_are_refused(config, capsys):
    with pytest.raises(SystemExit):
        main([str(config), '--shape', '1', '2', '3'])
    assert main([str(config.parent / 'gone.py')]) == 1
    assert 'gone.py' in capsys.readouterr().err


def test_learned_queries_as_inputs_of_modules_are_counted():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.queries = torch.nn.Parameter(torch.zeros(3, 4))
            self.layer = torch.nn.Linear(4, 4, bias=False)

        def forward(self, inputs, data_samples, mode):
            return self.layer(self.queries.expand(2, -1, -1))

    assert count_flops(Model(), dict(inputs=torch.zeros(1), data_samples=None))['layer'] == 2 * 2 * 3 * 4 * 4


def test_folding_for_inference_hides_nothing():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.BatchNorm2d(5)

        def forward(self, inputs, data_samples, mode):
            from mmxf.layers.folding import conv_norm

            return conv_norm(self.conv, self.norm, inputs, 'relu')

    assert count_flops(Model().eval(), dict(inputs=torch.zeros(1, 3, 8, 8), data_samples=None))[''] == 2 * 27 * 5 * 64


def test_models_that_look_at_values_are_counted_without_their_products():
    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.layer = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Linear(8, 4)

        def forward(self, inputs, data_samples, mode):
            tokens = self.conv(inputs).flatten(2).transpose(1, 2)
            self.computed = bool(tokens.any())
            tokens = torch.nn.functional.scaled_dot_product_attention(*[tokens[:, None]] * 3)[:, 0]
            chosen = tokens[0][tokens[0].sum(1) <= 0]                    # all of them, where nothing was computed
            return self.layer(chosen)

    model, batch = Model(), dict(inputs=torch.rand(1, 3, 4, 6), data_samples=None)
    counts = count_without_products(model, batch)
    assert not model.computed
    assert (counts['conv'], counts['layer']) == (2 * 27 * 8 * 24, 2 * 8 * 4 * 24)
    assert counts[''] - counts['conv'] - counts['layer'] == 2 * 2 * 24 * 24 * 8
