"""Exported depth models say what the model says, and say something: depth that differs from pixel to pixel."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmxf.apis.export.write import onnx_problem
from mmxf.apis.init_model import build_model, open_config
from mmxf.cli.export import main
from mmxf.datasets.miniworld.depth import DepthRequest, write_depth_panoramas

ROOT = Path(__file__).resolve().parents[2]
CONFIG = str(ROOT / 'configs/omnifusion/omnifusion_mini.py')
FORMATS = ['torch-export', pytest.param('onnx', marks=pytest.mark.skipif(bool(onnx_problem()), reason=str(onnx_problem())))]


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> Path:
    """Panoramas to compare on."""
    root = tmp_path_factory.mktemp('world')
    write_depth_panoramas(root, DepthRequest(1, 3, 128, 64))
    return root


def checkpoint(folder: Path, changes: dict) -> tuple[Path, torch.nn.Module]:
    """Weights whose norms do something and whose depth lies between about 1 and 3 m: untrained ones give depth 0 everywhere, and
    nothing would be compared."""
    model = build_model(open_config(CONFIG, changes), seed=0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=generator))
                module.running_var.copy_(0.7 + 0.6 * torch.rand(module.running_var.shape, generator=generator))
        head = model.backbone.decoder
        head.depth.weight *= 60
        head.confidence.weight *= 60
        head.depth.bias += 2
    path = folder / 'weights.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path, model


@pytest.mark.parametrize('changes', [{}, {'model.backbone.geometry': 'points', 'model.backbone.iterations': 2,
                                          'model.backbone.rows': 3}], ids=['one_pass', 'two_passes'])
@pytest.mark.parametrize('kind', FORMATS)
def test_files_agree_with_the_model(world, tmp_path, capsys, kind, changes):
    path, model = checkpoint(tmp_path, changes)
    out = tmp_path / ('depth.onnx' if kind == 'onnx' else 'depth.pt2')
    words = [f'{key}={value}' for key, value in {**changes, 'data_root': f'{world}/'}.items()]
    status = main([CONFIG, str(path), '--format', kind, '--out', str(out), '--number', '2', '--cfg-options', *words])
    shown = capsys.readouterr()
    assert status == 0, shown.out + shown.err
    assert 'the file agrees with the model' in shown.out and '2 samples of the test set' in shown.out
    assert 'in one batch' in shown.out, 'the number of images may vary'
    notes = json.loads(out.with_name(out.name + '.json').read_text())
    assert notes['inputs']['image'] == [None, 3, 64, 128] and notes['outputs']['depth'] == [None, 1, 64, 128]
    # What was compared is no constant, and the file gives it for three images, too, though it was traced with two.
    photos = sorted((world / 'area_5a/pano/rgb').iterdir())
    images = np.stack([cv2.imread(str(photo)).transpose(2, 0, 1) for photo in photos]).astype(np.float32)
    found = run(out, images)
    with torch.no_grad():
        expected = model(model.data_preprocessor(dict(inputs=list(torch.from_numpy(images))))['inputs']).numpy()
    assert expected.std() > 0.1 and (expected > 0).mean() > 0.75       # 3 rows leave gaps at the poles
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    if kind == 'onnx':      # one operation for all pixels, not a loop over them
        import onnx

        assert not {'Loop', 'SequenceEmpty'} & {node.op_type for node in onnx.load(out).graph.node}


def test_panoramas_have_one_size(world, tmp_path, capsys):
    path, _ = checkpoint(tmp_path, {})
    assert main([CONFIG, str(path), '--format', 'torch-export', '--out', str(tmp_path / 'depth.pt2'), '--dynamic', 'size',
                 '--cfg-options', f'data_root={world}/']) == 1
    assert 'DepthEstimator has one size only' in capsys.readouterr().err


def run(path: Path, images: np.ndarray) -> np.ndarray:
    """Depth of (B, 3, H, W) by an exported file."""
    if path.suffix == '.onnx':
        import onnxruntime

        return onnxruntime.InferenceSession(path).run(None, dict(image=images))[0]
    with torch.no_grad():
        return torch.export.load(path).module()(torch.from_numpy(images))[0].numpy()


def test_exporting_leaves_the_model_and_its_tables_usable(world, tmp_path):
    """Tables of patches are kept; ones made while a model was traced must be numbers as any others."""
    from mmxf.apis.export.program import program_of
    from mmxf.apis.export.write import trace

    changes = {'image_size': (48, 96)}       # a size that no other test has made tables for
    _, model = checkpoint(tmp_path, changes)
    trace(program_of(model), (torch.rand(1, 3, 48, 96) * 255,), ())
    for part in model.parameters():
        part.requires_grad_(True)
    model(torch.rand(1, 3, 48, 96)).sum().backward()
    assert model.backbone.encoder.conv1.weight.grad.abs().sum() > 0
