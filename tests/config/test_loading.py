"""Reading files: messages for those that cannot be read, and the configs that libraries ship."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmxf.config import UserError, load_config
from mmxf.config.overrides import parse_options


def test_a_missing_file_names_its_neighbours(toy):
    with pytest.raises(UserError, match=r'no such config file; did you mean .*toy\.py'):
        load_config(toy.with_name('toi.py'))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a = dict(\n', r'bad\.py'),
        ('\nlr = 1 / 0\n', r'bad\.py:2: ZeroDivisionError'),
        ('\n\nx = missing_name\n', r"bad\.py:3: NameError: name 'missing_name'"),
        ("_base_ = 'nowhere.py'\n", r'inherits from is missing.*nowhere\.py'),
        ("custom_imports = dict(imports=['mmnix'])\n", 'ImportError'),
    ],
)
def test_files_that_cannot_be_read_name_file_and_line(tmp_path, text, message):
    path = tmp_path / 'bad.py'
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_config(path)


def test_a_value_that_cannot_be_merged_is_named(child):
    with pytest.raises(UserError, match='train_pipeline'):
        load_config(child('train_pipeline = dict(a=1)\n'))


def test_where_weights_come_from_can_be_a_dict(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'mmxf::kmax/kmax_r18_mini.py'\nload_from = dict(urls=['https://a.b/c.pth'], sha256='00')\n")
    assert load_config(config).load_from == dict(urls=['https://a.b/c.pth'], sha256='00')
    option = parse_options(["load_from=dict(urls=['https://a.b/c.pth'])"])
    assert load_config('mmxf::kmax/kmax_r18_mini.py', option).load_from == dict(urls=['https://a.b/c.pth'])


def test_the_default_scope_is_ours(tmp_path):
    path = tmp_path / 'empty.py'
    path.write_text('a = 1\n')
    assert load_config(path).default_scope == 'mmxf'


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_bases_of_other_libraries(tmp_path, library):
    path = tmp_path / 'child.py'
    path.write_text(f"_base_ = ['{library}::_base_/default_runtime.py']\n")
    cfg = load_config(path)
    assert cfg.default_scope == library and cfg.log_level == 'INFO'


def mask2former_configs() -> list[str]:
    import importlib.util

    spec = importlib.util.find_spec('mmdet')
    folder = Path(spec.submodule_search_locations[0]) / '.mim' / 'configs' / 'mask2former' if spec else Path('none')
    return sorted(path.name for path in folder.glob('*.py'))


@pytest.mark.parametrize('name', mask2former_configs())
def test_mask2former_of_mmdet_passes(name):
    cfg = load_config(f'mmdet::mask2former/{name}')
    assert cfg.model.type == 'Mask2Former'


def test_mask2former_is_there():
    assert len(mask2former_configs()) >= 10


@pytest.mark.parametrize(
    ('key', 'right', 'cls'),
    [
        ('model.panoptic_head.num_querys', 'num_queries', 'Mask2FormerHead'),
        ('model.panoptic_head.pixel_decoder.num_out', 'num_outs', 'MSDeformAttnPixelDecoder'),
        ('model.panoptic_head.transformer_decoder.num_layer', 'num_layers', None),
        ('model.backbone.norm_cfg.requires_gard', 'requires_grad', None),
        ('model.train_cfg.assigner.match_cost', 'match_costs', 'HungarianAssigner'),
        ('train_dataloader.dataset.filter_cgf', 'filter_cfg', 'CocoPanopticDataset'),
    ],
)
def test_mistakes_in_mask2former_are_found(problems, key, right, cls):
    (name, *_) = [name for name in mask2former_configs() if 'r50' in name and 'panoptic' in name]
    (problem,) = problems(f'mmdet::mask2former/{name}', {key: 1})
    assert problem.startswith(f'command line: {key}:')
    assert cls is None or (repr(right) in problem and f':{cls}' in problem)


def test_mistakes_in_a_child_of_mask2former_name_its_line(problems, tmp_path):
    (name, *_) = [name for name in mask2former_configs() if 'r50' in name and 'panoptic' in name]
    path = tmp_path / 'mine.py'
    path.write_text(
        f"_base_ = 'mmdet::mask2former/{name}'\n\nmodel = dict(\n    panoptic_head=dict(\n"
        '        num_querys=100,\n        transformer_decoder=dict(num_layer=3)))\n'
    )
    first, second = problems(path)
    assert 'mine.py:5: model.panoptic_head.num_querys:' in first
    assert 'mmdet.models.dense_heads.mask2former_head:Mask2FormerHead' in first
    assert "did you mean 'num_queries'?" in first
    assert 'mine.py:6: model.panoptic_head.transformer_decoder.num_layer:' in second
    assert ':Mask2FormerTransformerDecoder' in second and "'num_layers'" in second  # built by Class(**dict), no type


def test_a_config_of_ours_alone_imports_neither_mmdet_nor_mmseg(tmp_path):
    path = tmp_path / 'ours.py'
    path.write_text("default_scope = 'mmengine'\noptim_wrapper = dict(optimizer=dict(type='AdamW', lr=1))\n")
    code = (
        f'from mmxf.config import load_config; load_config({str(path)!r}); import sys; '
        "print([name for name in ('mmdet', 'mmseg', 'mmcv.ops') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip().endswith('[]'), done.stdout + done.stderr


def test_importing_the_package_loads_nothing_heavy():
    code = (
        'import mmxf.config, sys; '
        "print([name for name in ('torch', 'mmengine', 'mmcv', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == '[]', done.stdout + done.stderr


def test_types_that_are_ops_of_mmcv(problems, tmp_path):
    path = tmp_path / 'rcnn.py'
    path.write_text(
        "_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'\n"
        'model = dict(\n'
        '    roi_head=dict(bbox_roi_extractor=dict(roi_layer=dict(output_sise=7))),\n'
        "    test_cfg=dict(rpn=dict(nms=dict(type='sotf_nms'))))\n"
    )
    first, second = problems(path)
    assert 'rcnn.py:3' in first and "'output_size'" in first
    assert 'rcnn.py:4' in second and "'soft_nms'" in second
    assert problems('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py') == []
