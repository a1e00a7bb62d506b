"""OmniFusion against numbers of the official code (tests/parity/omnifusion/README.md says how they were made)."""
import numpy as np
import pytest
import torch
from omnifusion_cases import PARITY, estimator, load, official_keys, official_state, official_weights, panorama, weights

from mmxf.models.omnifusion.convert import convert, revert

TOLERANCE = 1e-4


@pytest.fixture(scope='module')
def numbers():
    with np.load(PARITY / 'outputs.npz') as file:
        return {key: file[key] for key in file.files}


def compare(ours: torch.Tensor, numbers: dict, key: str) -> None:
    """Equal to the official code, up to the pixels at patches' edges that rounding decides, as in its own float64."""
    assert list(ours.shape) == numbers[f'{key}/shape'].tolist()
    error = np.abs(weights.subset(ours.numpy(), 4096) - numbers[key]) / numbers[f'{key}/max']
    # The official code's own float32 and float64 differ in as many pixels.
    assert (error > TOLERANCE).mean() <= 4e-4, (error.max(), (error > TOLERANCE).mean())
    assert error.mean() <= 1e-5


@pytest.mark.parametrize('rows', [3, 4, 5, 6])
def test_one_pass(numbers, rows):
    model = load(estimator(rows), f'single_{rows}')
    with torch.no_grad():
        compare(model(panorama(f'p{rows}')), numbers, f'single_{rows}/128')
        if rows == 4:
            compare(model(panorama('p4', 100, 210)), numbers, 'single_4/100')
            model.backbone.use_confidence = False
            compare(model(panorama('p4')), numbers, 'single_4/plain')
    if rows == 4:
        with torch.enable_grad():       # the path of training, norms not folded
            model.backbone.use_confidence = True
            compare(model(panorama('p4')).detach(), numbers, 'single_4/128')


@pytest.mark.parametrize('confidence', [False, True])
def test_two_passes(numbers, confidence):
    model = load(estimator(iterations=2, confidence=confidence), 'several_4')
    with torch.no_grad():
        outputs = model.backbone(panorama('p4'))
    assert len(outputs) == 2
    for number, output in enumerate(outputs):
        compare(output, numbers, f'several_4/{int(confidence)}/{number}')
    assert (outputs[0] - outputs[1]).abs().mean() > 0.01


def test_two_passes_on_patches_of_256_pixels():
    """As the published weights for Stanford2D3D have them; their tokens are 8 channels of 8 x 8 features."""
    with np.load(PARITY / 'patches256.npz') as file:
        numbers = {f'256/{key}': file[key] for key in file.files}
    state = official_state('several_4')
    for key in ('down1.weight', 'down1.bias'):
        shape = (8, *state[key].shape[1:])
        state[key] = torch.from_numpy(official_weights(key, shape))
    model = estimator(iterations=2, confidence=False, patch_size=256)
    model.load_state_dict(convert(state))
    with torch.no_grad():
        for number, output in enumerate(model.eval().backbone(panorama('p4'))):
            compare(output, numbers, f'256/{number}')


@pytest.mark.parametrize('name', sorted(official_keys()))
def test_every_official_key_is_converted_and_comes_back_bit_for_bit(name):
    state = official_state(name)
    ours = convert({f'module.{key}': value for key, value in state.items()})
    back = revert({'state_dict': ours})
    assert list(back) == list(state)
    assert all(torch.equal(back[key], value) and back[key].dtype == value.dtype for key, value in state.items())
    with torch.device('meta'):
        model = estimator(int(name[-1]), iterations=2 if name.startswith('several') else 1)
    assert {key: tuple(v.shape) for key, v in model.state_dict().items()} == {key: tuple(v.shape) for key, v in ours.items()}


def test_the_command_converts_a_file_and_brings_it_back_bit_for_bit(tmp_path, capsys):
    from mmxf.cli.convert_checkpoint import main

    state = official_state('several_4')
    official, ours, back = (str(tmp_path / name) for name in ('checkpoint_best.pth', 'ours.pth', 'back.pth'))
    torch.save({f'module.{key}': value for key, value in state.items()}, official)       # as DataParallel leaves it
    assert main(['omnifusion', official, ours]) == 0 and main(['omnifusion', ours, back, '--reverse']) == 0
    assert f'{len(state)} tensors' in capsys.readouterr().out
    found = torch.load(back)['model']
    assert list(found) == list(state) and all(torch.equal(found[key], value) for key, value in state.items())
    estimator(iterations=2).load_state_dict(torch.load(ours)['state_dict'], strict=True)


def test_parameter_counts():
    for arguments, parameters in ((dict(rows=4), 42_477_842), (dict(rows=6), 42_492_178), (dict(iterations=2), 42_479_042),
                                  (dict(iterations=2, patch_size=256), 42_466_730)):
        with torch.device('meta'):
            model = estimator(**arguments)
        assert sum(p.numel() for p in model.parameters()) == parameters


def test_a_foreign_key_is_named():
    with pytest.raises(ValueError, match=r'1 of \d+ keys do not belong to OmniFusion: layer5\.weight'):
        convert({**official_state('single_4'), 'layer5.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='holds no weights'):
        convert({'state_dict': {}})
