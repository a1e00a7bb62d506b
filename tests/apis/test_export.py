"""Every resident as a file that runs without mmxf and says what the model says."""
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmxf.apis.export.detection import DetectionProgram
from mmxf.apis.export.program import ImageProgram
from mmxf.apis.export.write import onnx_problem, torch_problem
from mmxf.apis.init_model import build_model, open_config
from mmxf.cli.export import main

ROOT = Path(__file__).parents[2]
SMALL = {
    'kmax/kmax_r18_mini.py': {'image_size': (64, 64), 'model.head.decoder.num_layers': (1, 1, 0), 'model.head.auxiliary': None},
    'kat/kat_t_mini.py': {'model.backbone.arch.depth': 2},
    'kat/kat_segmentation_mini.py': {'image_size': (64, 64), 'model.backbone.out_indices': (0, 1, 2, 3),
                                     'model.backbone.arch.depth': 4, 'model.auxiliary_head': None},
    'kat/kat_detection_mini.py': {'image_size': (64, 64), 'model.backbone.arch.depth': 2, 'model.backbone.global_indices': (1,),
                                  'model.backbone.window': 5, 'model.test_cfg.rpn.max_per_img': 50,
                                  'model.test_cfg.rcnn.max_per_img': 50},
    'ktpformer/ktpformer_f27_mini.py': {'model.backbone.depth': 1, 'model.windows_per_batch': 4},
    'ktpformer/ktpformer_diffusion_f243_h36m_cpn.py': {
        'num_frames': 9, 'model.backbone.denoiser.num_frames': 9, 'model.backbone.denoiser.depth': 1,
        'model.backbone.denoiser.channels': 32, 'model.backbone.sampling_steps': 2, 'model.backbone.num_hypotheses': 2}}
SHARP = ('rpn_cls.weight', 'rpn_reg.weight', 'fc_cls.weight', 'fc_reg.weight', 'conv_logits.weight')
ANY_SIZE = ('--dynamic', 'batch', 'size')
needs_onnx = pytest.mark.skipif(bool(onnx_problem()), reason=str(onnx_problem()))
OLD = torch_problem(DetectionProgram, ['size'])
needs_sizes = pytest.mark.skipif(bool(OLD), reason=str(OLD))


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> Path:
    """Rendered images and people, a few of each."""
    from mmxf.cli.make_miniworld import main as make

    root = tmp_path_factory.mktemp('world')
    assert not make(['--root', str(root / 'images'), '--train', '2', '--val', '3', '--size', '64', '64', '--workers', '1'])
    return root


def weights(folder: Path, name: str, changes: dict) -> tuple[str, list[str], Path]:
    """Config, its changes as words of the command line, and a checkpoint whose norms have seen something."""
    config = str(ROOT / 'configs' / name)
    model = build_model(open_config(config, changes), seed=0)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():      # fixed norms that change nothing would hide a norm that was left out
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm) and module.running_mean is not None:
            module.running_mean.copy_(0.1 * torch.randn(module.running_mean.shape, generator=generator))
            module.running_var.copy_(0.7 + 0.6 * torch.rand(module.running_var.shape, generator=generator))
    for key, value in model.state_dict().items():      # boxes and classes that differ, not a hundred that tie
        if key.endswith(SHARP):
            value.copy_(0.3 * torch.randn(value.shape, generator=generator))
    path = folder / 'weights.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return config, [f'{key}={str(value).replace(" ", "")}' for key, value in changes.items()], path


def export(world: Path, folder: Path, name: str, *more: str, kind: str = 'onnx') -> tuple[int, Path]:
    changes = dict(SMALL[name])
    if 'ktpformer' not in name and world is not None:
        changes['data_root'] = f'{world}/images/'
    config, words, checkpoint = weights(folder, name, changes)
    out = folder / ('file.onnx' if kind == 'onnx' else 'file.pt2')
    return main([config, str(checkpoint), '--format', kind, '--out', str(out), '--number', '2', *more, '--cfg-options',
                 *words]), out


def agrees(world: Path, folder: Path, capsys, name: str) -> Path:
    """The ONNX file of a small resident, after it was compared with the model on samples."""
    sized = name.startswith('kat')
    status, out = export(world, folder, name, *(ANY_SIZE if sized else ()))
    shown = capsys.readouterr()
    said = shown.out
    assert status == 0, said + shown.err
    assert not sized or 'the same at 128 x 128' in said
    assert 'the file agrees with the model' in said
    assert 'made-up' in said if 'ktpformer' in name else '2 samples of the test set' in said
    assert 'in one batch' in said, 'the dynamic batch was tried'
    notes = json.loads((folder / 'file.onnx.json').read_text())
    import onnx

    graph = onnx.load(out).graph
    assert [i.name for i in graph.input] == list(notes['inputs']) and [o.name for o in graph.output] == list(notes['outputs'])
    assert next(iter(notes['inputs'].values()))[0] is None
    assert not sized or notes['inputs']['image'] == [None, 3, None, None]
    return out


@needs_onnx     # UPerNet takes minutes to translate
@pytest.mark.parametrize('name', [name for name in SMALL if 'segmentation' not in name and 'kmax' not in name])
def test_onnx_agrees_with_the_model_on_samples(world, tmp_path, capsys, name):
    agrees(world, tmp_path, capsys, name)


@needs_onnx
def test_kmax_in_onnx_runs_without_mmxf(world, tmp_path, capsys):
    """The file agrees, and the script of docs/export.md segments a photo with numpy, Pillow and onnxruntime."""
    out = agrees(world, tmp_path, capsys, 'kmax/kmax_r18_mini.py')
    script = next(block for block in re.findall(r'```python\n(.*?)```', (ROOT / 'docs/export.md').read_text(), re.S)
                  if 'onnxruntime' in block)
    assert len(script.strip().splitlines()) <= 22
    photo = sorted((world / 'images/val').iterdir())[0]
    (tmp_path / 'script.py').write_text(script + "\nassert not {'mmxf', 'torch', 'mmengine'} & set(sys.modules)\n")
    done = subprocess.run([sys.executable, '-I', 'script.py', str(out), str(photo), 'labels.png'], cwd=tmp_path,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 'score' in done.stdout and (tmp_path / 'labels.png').is_file()


@pytest.mark.parametrize('name', ['ktpformer/ktpformer_f27_mini.py', 'ktpformer/ktpformer_diffusion_f243_h36m_cpn.py'])
def test_torch_export_agrees_with_the_model(world, tmp_path, capsys, name):
    status, out = export(world, tmp_path, name, kind='torch-export')
    assert status == 0, capsys.readouterr().out
    assert out.stat().st_size > 10000


@needs_sizes
@pytest.mark.parametrize('name', ['kmax/kmax_r18_mini.py', 'kat/kat_segmentation_mini.py', 'kat/kat_detection_mini.py'])
def test_one_torch_file_for_all_sizes(world, tmp_path, capsys, name):
    status, _ = export(world, tmp_path, name, *ANY_SIZE, kind='torch-export')
    shown = capsys.readouterr()
    assert status == 0, shown.out + shown.err
    assert 'the same at 128 x 128' in shown.out and 'in one batch' in shown.out and 'the file agrees' in shown.out
    assert json.loads(next(tmp_path.glob('file.*.json')).read_text())['inputs']['image'] == [None, 3, None, None]


@needs_onnx
def test_one_onnx_file_for_all_sizes(world, tmp_path, capsys):
    status, _ = export(world, tmp_path, 'kmax/kmax_r18_mini.py', '--dynamic', 'size')
    shown = capsys.readouterr()
    assert status == 0, shown.out + shown.err
    assert 'the same at 128 x 128' in shown.out and 'the file agrees' in shown.out
    assert json.loads((tmp_path / 'file.onnx.json').read_text())['inputs']['image'] == [1, 3, None, None]


@pytest.mark.parametrize('name', ['kmax/kmax_r18_mini.py', 'kat/kat_t_mini.py'])
def test_real_photos(real_data, tmp_path, capsys, name):
    status, _ = export(None, tmp_path, name, '--images', str(real_data / 'coco_panoptic/val2017'), kind='torch-export')
    shown = capsys.readouterr()
    assert status == 0, shown.out + shown.err
    assert '2 given images' in shown.out and 'the file agrees' in shown.out


def test_a_file_that_differs_fails(world, tmp_path, capsys, monkeypatch):
    from mmxf.apis.export import write

    trace = write.trace

    def wrong(program, arguments, dynamic):
        forward = program.forward
        program.forward = lambda x: tuple(value * 1.01 for value in forward(x))
        try:
            return trace(program, arguments, dynamic)
        finally:
            del program.forward

    monkeypatch.setattr(write, 'trace', wrong)
    status, _ = export(world, tmp_path, 'kat/kat_t_mini.py', kind='torch-export')
    said = capsys.readouterr().out
    assert status == 1 and 'FAILED' in said and 'do not use it' in said


def test_that_nothing_was_found_is_no_agreement(world, tmp_path, capsys, monkeypatch):
    from mmxf.apis.export import verify
    from mmxf.apis.export.program import ClassificationProgram

    monkeypatch.setattr(ClassificationProgram, 'evidence', 'probs')      # as a detector's scores
    monkeypatch.setattr(verify, '_by_model', lambda program, batches: ([(torch.zeros(1, 3),) for _ in batches], 1.0))
    monkeypatch.setattr(verify, '_by_file', lambda program, path, groups: [([(torch.zeros(1, 3),) for _ in group], 1.0)
                                                                           for group in groups])
    status, _ = export(world, tmp_path, 'kat/kat_t_mini.py', '--dynamic', 'none', kind='torch-export')
    said = capsys.readouterr().out
    assert status == 1 and 'NOTHING WAS COMPARED' in said and 'all probs are 0' in said and 'agrees' not in said


def test_nan_does_not_pass():
    from mmxf.apis.export.verify import _compare

    nan = torch.tensor([float('nan'), 1.0])
    assert not _compare('probs', [nan], [torch.ones(2)]).passed()
    row = _compare('probs', [torch.tensor([[1.0, 0.0]])], [torch.tensor([[0.0, 1.0]])])
    assert row.agreement == 0 and np.isclose(row.relative, 2**0.5)


def test_detectors_of_other_kinds_say_what_is_in_the_way():
    from mmxf.apis.export.program import program_of
    from mmxf.config import UserError

    model = build_model(open_config(str(ROOT / 'configs/kat/kat_detection_mini.py'), SMALL['kat/kat_detection_mini.py']), seed=0)
    model.roi_head.test_cfg.nms.type = 'soft_nms'
    with pytest.raises(UserError, match='suppression other than nms'):
        program_of(model)


def test_suppression_and_pooling_in_plain_tensors(monkeypatch):
    """What stands in torch's files against the operators that the models call."""
    from mmcv.ops import RoIAlign, nms

    from mmxf.apis.export import detection_ops
    from mmxf.apis.export.detection_ops import pool_plain, suppress_plain

    generator = torch.Generator().manual_seed(0)
    corners = 40 * torch.rand(3, 30, 2, generator=generator)
    boxes = torch.cat([corners, corners + 30 * torch.rand(3, 30, 2, generator=generator)], -1)
    boxes = torch.minimum(boxes, torch.tensor([68., 44, 68, 44]))      # the map's extent
    boxes[0, 3] = boxes[0, 4]                   # a twin
    boxes[1, 5, 2:] = boxes[1, 5, :2]           # no area
    scores = torch.rand(3, 30, generator=generator)
    monkeypatch.setattr(detection_ops, 'CHUNK', 16)
    keep = suppress_plain(boxes, scores, 0.4)
    assert 0 < keep.sum() < keep.numel()
    for some, ranking, kept in zip(boxes, scores, keep):
        assert sorted(nms(some, ranking, 0.4)[1].tolist()) == kept.nonzero().flatten().tolist()
    feature = torch.randn(3, 5, 11, 17, generator=generator)
    boxes[2, :4] = torch.tensor([[0., 0, 68, 44], [60, 30, 68, 44], [0, 0, 68, 2], [3, 5, 4, 44]])   # all of the map, flat ones
    for ratio in (0, 2):
        rois = torch.cat([torch.arange(3.).repeat_interleave(30)[:, None], boxes.flatten(0, 1)], 1)
        wanted = RoIAlign(4, 0.25, ratio)(feature, rois)
        torch.testing.assert_close(pool_plain(feature, boxes, 4, 0.25, ratio).flatten(0, 1), wanted, atol=1e-5, rtol=1e-5)


def test_a_torch_too_old_is_named(monkeypatch, capsys, tmp_path):
    from torch.torch_version import TorchVersion

    monkeypatch.setattr(torch, '__version__', TorchVersion('2.4.1'))
    assert main([str(ROOT / 'configs/kat/kat_t_mini.py'), str(tmp_path / 'x.pth')]) == 1
    assert '--format onnx needs torch >= 2.7 (tested with 2.13), found 2.4.1' in capsys.readouterr().err
    assert torch_problem(DetectionProgram) == 'exporting needs torch >= 2.7 (tested with 2.13), found 2.4.1'
    assert torch_problem(ImageProgram) is None
    assert 'exporting with --dynamic size needs torch >= 2.7' in torch_problem(ImageProgram, ['size'])


@needs_onnx
def test_onnx_without_its_packages_names_them(monkeypatch, capsys, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *a: None if name == 'onnxscript' else find(name, *a))
    assert main([str(ROOT / 'configs/kat/kat_t_mini.py'), str(tmp_path / 'x.pth')]) == 1
    assert 'pip install' in capsys.readouterr().err
