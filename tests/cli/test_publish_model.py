"""Publishing, and starting from what was published, on two tasks."""
import hashlib
import json
from pathlib import Path

import pytest
import torch
import yaml

import mmxf  # noqa: F401
from mmxf.apis import init_model, load_checkpoint
from mmxf.apis.init_model import build_model, open_config
from mmxf.cli.publish_model import main
from mmxf.engine.hooks.load_report_hook import LoadReportHook, NothingLoadedError, OtherModelError

ROOT = Path(__file__).parents[2]
CONFIGS = {'kat/kat_t_mini.py': 'ImageClassifier', 'ktpformer/ktpformer_f27_mini.py': 'PoseLifter'}


def run_checkpoint(folder: Path, config: str) -> Path:
    """What a run saves: weights, optimizer, logs."""
    model = build_model(open_config(str(ROOT / 'configs' / config)), seed=3)
    path = folder / 'iter_7.pth'
    torch.save(dict(state_dict=model.state_dict(), optimizer=dict(state={0: torch.rand(1 << 18)}), message_hub={},
                    meta=dict(iter=7, dataset_meta=model.dataset_meta)), path)
    return path


@pytest.mark.parametrize('config, task', CONFIGS.items())
def test_published_weights_are_the_runs_alone(tmp_path, config, task, capsys):
    source = run_checkpoint(tmp_path, config)
    (tmp_path / 'metrics.json').write_text(json.dumps({'accuracy/top1': 71.25, 'note': 'x'}))
    (tmp_path / 'metafile.yml').write_text('Collections: []\n\nModels:\n  - Name: older\n    Config: x\n')
    name = Path(config).stem
    words = [str(ROOT / 'configs' / config), str(source), '--out-dir', str(tmp_path / 'out'), '--metrics',
             str(tmp_path / 'metrics.json'), '--url', 'https://example.org/w/', '--metafile', str(tmp_path / 'metafile.yml')]
    assert main(words) == 0, capsys.readouterr()
    out, = (tmp_path / 'out').glob('*.safetensors')
    total = hashlib.sha256(out.read_bytes()).hexdigest()
    assert out.name == f'{name}-{total[:8]}.safetensors'
    assert out.with_suffix('.sha256').read_text() == f'{total}  {out.name}\n'
    assert out.stat().st_size < source.stat().st_size - (1 << 19), 'the optimizer is gone'
    old, entry = yaml.safe_load((tmp_path / 'metafile.yml').read_text())['Models']
    assert old['Name'] == 'older' and entry['SHA256'] == total and entry['Weights'] == f'https://example.org/w/{out.name}'
    assert entry['Results'] == [dict(Task=task, Dataset=entry['Results'][0]['Dataset'], Metrics={'accuracy/top1': 71.25})]
    assert entry['Metadata']['Iterations'] == 7 and 'torch' in entry['Metadata']['Versions']
    # A second time the name is taken.
    assert main(words) == 1 and 'already' in capsys.readouterr().err
    wanted = torch.load(source, weights_only=True)['state_dict']
    found = init_model(str(ROOT / 'configs' / config), out).state_dict()
    assert set(found) == set(wanted) and all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert load_checkpoint(out)['meta']['iterations'] == 7


def test_weights_of_another_model_are_not_published(tmp_path, capsys):
    source = run_checkpoint(tmp_path, 'kat/kat_t_mini.py')
    assert main([str(ROOT / 'configs/ktpformer/ktpformer_f27_mini.py'), str(source), '--out-dir', str(tmp_path / 'out')]) == 1
    assert 'does not fit the model' in capsys.readouterr().err and not (tmp_path / 'out').exists()


class _Runner:
    """As much of a Runner as the hook asks for."""

    def __init__(self, model, folder: Path) -> None:
        import logging

        self.model, self.work_dir, self._resume, self._load_from = model, str(folder), False, 'start.pth'
        self.logger = logging.getLogger('load_report')


@pytest.mark.parametrize('config, key', [
    ('kat/kat_t_mini.py', 'head.fc.weight'), ('kmax/kmax_r18_mini.py', 'head.decoder.predictor.class_head.conv.weight')])
def test_another_number_of_classes_is_told_key_by_key(tmp_path, config, key, caplog):
    cfg = open_config(str(ROOT / 'configs' / config), {'model.head.num_classes': 9, 'model.head.thing_labels': (0,)}
                      if 'kmax' in config else {'model.head.num_classes': 9})
    other = build_model(cfg, seed=0).state_dict()
    model = build_model(open_config(str(ROOT / 'configs' / config)), seed=0)
    other['backbone.surplus'] = torch.zeros(1)
    with caplog.at_level('INFO'):
        LoadReportHook().after_load_checkpoint(_Runner(model, tmp_path), dict(state_dict=other))
    lines = (tmp_path / 'load_report.txt').read_text().splitlines()
    assert any(line.startswith(f'classes     {key}  ') for line in lines)
    assert [line for line in lines if line.startswith('suspicious')] == [
        'suspicious  backbone.surplus: is in the checkpoint, not in the model: not used']
    assert sum(line.startswith('loaded') for line in lines) > 40
    assert '1 suspicious' in caplog.text and 'load_report.txt' in caplog.text
    with pytest.raises(NothingLoadedError, match='mmxf convert-checkpoint'):
        LoadReportHook().after_load_checkpoint(_Runner(model, tmp_path), dict(state_dict={'x.y': torch.zeros(3)}))
    runner = _Runner(model, tmp_path)
    runner._resume = True
    LoadReportHook().after_load_checkpoint(runner, dict(state_dict=model.state_dict()))
    with pytest.raises(OtherModelError, match=f'start.pth cannot be continued.*{type(model).__name__}(.|\n)*load_from'):
        LoadReportHook().after_load_checkpoint(runner, dict(state_dict=other))
