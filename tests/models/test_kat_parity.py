"""KAT against numbers of the official code: the kernel, logits, names of weights. See tests/parity/kat/README.md."""
import gzip
import json
from pathlib import Path

import kat_cases
import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.models.kat import KAT
from mmxf.models.kat.convert import convert, revert
from mmxf.ops.rational import rational
from mmxf.tasks import ImageClassifier

PARITY = Path(__file__).parents[1] / 'parity/kat'
ARCHS = dict(t=('tiny', 192, 'token'), s=('small', 384, 'token'), b=('base', 768, 'token'), t_avg=('tiny', 192, 'average'))


def classifier(name: str) -> ImageClassifier:
    arch, channels, out_type = ARCHS[name]
    return ImageClassifier(dict(type='mmxf.KAT', arch=arch, out_type=out_type),
                           dict(type='mmxf.LinearHead', in_channels=channels, num_classes=1000)).eval()


def official_keys(name: str) -> dict[str, list[int]]:
    with gzip.open(PARITY / 'keys.json.gz', 'rt') as file:
        return json.load(file)[name]


def relative(got, wanted) -> float:
    return float(np.abs(np.asarray(got) - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize('contiguous', [True, False])
def test_the_official_kernel(contiguous):
    """The official code has no answer for inputs with other strides; ours is the same as for contiguous ones."""
    wanted = np.load(PARITY / 'kernel.npz')
    inputs = {key: torch.from_numpy(value) for key, value in kat_cases.kernel_inputs().items()}
    x, grad = inputs['x'], inputs['grad']
    if not contiguous:
        x, grad = x.transpose(0, 1).contiguous().transpose(0, 1), grad.transpose(0, 1).contiguous().transpose(0, 1)
        assert not x.is_contiguous()
    leaves = [x.requires_grad_(), inputs['numerator'].requires_grad_(), inputs['denominator'].requires_grad_()]
    y = rational(*leaves)
    results = (y.detach(), *torch.autograd.grad(y, leaves, grad))
    for key, got in zip(('y', 'dx', 'da', 'db'), results):
        assert relative(got, wanted[key]) < 1e-5, key


@pytest.mark.parametrize('name', ['t', 's', 't_avg'])
def test_logits(name):
    wanted = np.load(PARITY / f'logits_{name}_224.npz')
    model = classifier(name)
    state = {key: torch.from_numpy(kat_cases.official_weight(key, tuple(shape)))
             for key, shape in official_keys(name).items()}
    model.load_state_dict(convert(dict(model=state)), strict=True)
    images = torch.from_numpy(kat_cases.images(len(wanted['logits']), 224, 224))
    with torch.no_grad():
        logits = model(images)
    assert relative(logits, wanted['logits']) < 1e-4
    assert (logits.argmax(1).numpy() == wanted['logits'].argmax(1)).all()


@pytest.mark.parametrize(('name', 'count'), [('t', 5_718_328), ('s', 22_051_576), ('b', 86_568_568)])
def test_names_shapes_and_number_of_weights(name, count):
    official = official_keys(name)
    with torch.device('meta'):
        arch, channels, _ = ARCHS[name]
        backbone = KAT(arch)
    ours = {f'backbone.{key}': list(value.shape) for key, value in backbone.state_dict().items()}
    ours |= {'head.fc.weight': [1000, channels], 'head.fc.bias': [1000]}
    converted = convert({key: torch.empty(shape) for key, shape in official.items()})
    assert {key: list(value.shape) for key, value in converted.items()} == ours
    assert sum(int(np.prod(shape)) for shape in ours.values()) == count


@pytest.mark.parametrize('name', ['t', 't_avg'])
def test_round_trip_of_a_checkpoint(name):
    state = {key: torch.from_numpy(kat_cases.official_weight(key, tuple(shape)))
             for key, shape in official_keys(name).items()}
    back = revert(dict(state_dict=convert(state)), average=name == 't_avg')
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_unknown_keys_are_named():
    with pytest.raises(ValueError, match='blocks.0.mlp.gate'):
        convert({'blocks.0.mlp.gate': torch.zeros(1)})
