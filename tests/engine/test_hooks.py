"""What stops a run, what it says, and what it leaves behind."""
import json
import logging

import pytest
import torch
from test_atomic_checkpoints import run

from mmxf.engine.hooks import ClassCountError, NonFiniteLossError
from mmxf.engine.hooks.class_count_hook import annotation_categories, class_counts
from mmxf.engine.hooks.non_finite_loss_hook import image_names


def test_nan_stops_before_the_step(toy, tmp_path):
    kwargs = {'work_dir': str(tmp_path), 'length': 8, 'interval': 1, 'data': {'nan': (17,), 'plain': True}}
    with pytest.raises(NonFiniteLossError, match='(?s)image_17.jpg.*loss_square=nan.*iter_.*pth'):
        toy.train(**kwargs)
    report = json.loads((tmp_path / 'non_finite_loss.json').read_text())
    assert 'image_17.jpg' in report['ranks'][0]['images'] and len(report['ranks'][0]['images']) == 4
    assert report['ranks'][0]['losses']['loss_square'] == 'nan'
    last = (tmp_path / 'last_checkpoint').read_text()
    assert last == report['last_checkpoint'] and last.endswith(f'iter_{report["iteration"] - 1}.pth')
    assert all(torch.isfinite(w).all() for w in torch.load(last, weights_only=False)['state_dict'].values())


@pytest.mark.parametrize('value, stops', [(float('inf'), True), (float('nan'), True), (1e30, False)])
def test_any_term_counts(toy, tmp_path, monkeypatch, value, stops):
    forward = toy.ToyModel.forward

    def with_term(self, inputs, data_samples=None, mode='tensor'):
        losses = forward(self, inputs, data_samples, mode)
        losses['aux'] = [torch.tensor(float('nan'))]  # no loss: only logged
        losses['loss_many'] = [torch.tensor(0.), torch.tensor([0., value])]
        return losses

    monkeypatch.setattr(toy.ToyModel, 'forward', with_term)
    kwargs = {'work_dir': str(tmp_path), 'length': 2}
    if stops:
        with pytest.raises(NonFiniteLossError, match='loss_many'):
            toy.train(**kwargs)
    else:
        runner = toy.train(**kwargs)
        assert 'parse_losses' not in vars(runner.model)  # the model is handed back as it was


def test_names_of_images():
    from mmengine.structures import BaseDataElement
    samples = [BaseDataElement(metainfo={'img_path': 'a.jpg'}), BaseDataElement(metainfo={'img_id': 7}),
               {'img_path': 'b.jpg'}]
    assert image_names({'inputs': [], 'data_samples': samples}) == ['a.jpg', 'image id 7', 'b.jpg']
    assert image_names(None) == [] and image_names({'inputs': 1}) == []


class Part:
    def __init__(self, metainfo, ann_file=None):
        self.metainfo, self.ann_file = metainfo, ann_file


@pytest.fixture
def annotations(tmp_path):
    def write(names, **extra):
        path = tmp_path / f'{len(names)}.json'
        path.write_text(json.dumps({'images': [{'file_name': '"categories" : ['}], 'categories': [
            {'id': i, 'name': name} for i, name in enumerate(names)], **extra}))
        return str(path)
    return write


def test_counts_of_all_parts(annotations):
    model = type('M', (), {'num_classes': 3})()
    file = annotations(['a', 'b', 'c', 'd'], annotations=[])
    assert annotation_categories(file) == ['a', 'b', 'c', 'd']
    panoptic = {'classes': ('a', 'b', 'c'), 'thing_classes': ('a',)}
    wrapped = type('W', (), {})()
    wrapped.dataset = type('C', (), {})()
    wrapped.dataset.datasets = [Part(panoptic, file)]
    counts = class_counts(model, {'train_dataloader': wrapped})
    assert list(counts.values()) == [3, 3, 4] and any(file in who for who in counts)
    # Detection may use some of the categories, but none that the file does not have.
    assert list(class_counts(model, {'t': Part({'classes': ('a', 'b', 'c')}, file)}).values()) == [3, 3]
    assert list(class_counts(model, {'t': Part({'classes': ('a', 'b', 'x')}, file)}).values()) == [3, 3, 4]
    assert annotation_categories('absent.json') is None


def test_disagreement_stops_before_the_first_iteration(toy, tmp_path, monkeypatch, annotations):
    monkeypatch.setattr(toy.ToyModel, 'num_classes', 5)
    monkeypatch.setattr(toy.ToyData, 'ann_file', annotations(['a', 'b', 'c', 'd']), raising=False)
    load = toy.ToyData.full_init
    monkeypatch.setattr(toy.ToyData, 'full_init',
                        lambda self: (load(self), setattr(self, 'ann_file', annotations(['x', 'y', 'z', 'w']))))
    with pytest.raises(ClassCountError, match=r'(?s) 5  model ToyModel.* 3  train_dataloader.* 4  train_dataloader'
                                              r'.*4.json'):
        toy.train(work_dir=str(tmp_path), length=2)
    assert not list(tmp_path.glob('iter_*'))


def test_class_folders_of_other_names(toy, tmp_path, monkeypatch):
    other = Part({'classes': ('a', 'x', 'c')})
    datasets = {'train_dataloader': Part({'classes': ('a', 'b', 'c')}), 'val_dataloader': other}
    monkeypatch.setattr('mmxf.engine.hooks.class_count_hook._datasets', lambda runner: datasets)
    toy.train(work_dir=str(tmp_path / 'files'), length=2)        # of annotation files names may differ
    datasets['train_dataloader'].class_folder, other.class_folder = 'data/train', 'data/val'
    with pytest.raises(ClassCountError, match=r"class 1 is 'b' in data/train \(train_dataloader\) and 'x' in data/val "
                                              r'\(val_dataloader\)'):
        toy.train(work_dir=str(tmp_path / 'folders'), length=2)
    assert not list((tmp_path / 'folders').glob('iter_*'))
    other.metainfo = {'classes': ('a', 'c', 'b')}                # another order is as bad
    with pytest.raises(ClassCountError, match=r"class 1 is 'b' .* and 'c' in"):
        toy.train(work_dir=str(tmp_path / 'folders'), length=2)
    other.metainfo = {'classes': ['a', 'b', 'c']}
    toy.train(work_dir=str(tmp_path / 'same'), length=2)


def test_checkpoint_of_other_classes(toy, tmp_path, caplog):
    other = tmp_path / 'other.pth'
    torch.save({'state_dict': {'classes': torch.tensor(7)}, 'meta': {'epoch': 0, 'iter': 1}}, other)
    run(toy, tmp_path / 'tune', caplog, length=2, load_from=str(other))  # fine-tuning: said, and done
    assert any('Fine-tuning' in r.getMessage() and '7  checkpoint' in r.getMessage() for r in caplog.records)
    with pytest.raises(ClassCountError, match=r'7  checkpoint .*other.pth'):
        toy.train(work_dir=str(tmp_path / 'resume'), length=2, load_from=str(other), resume=True)


def test_forecast(toy, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(toy, tmp_path, caplog, length=12, model={'delay': 0.05})
    line = next(r.getMessage() for r in caplog.records if r.getMessage().startswith('Forecast'))
    seconds = float(line.split()[1])
    assert 0.05 <= seconds < 1 and '8 iterations left' in line and 'peak memory' in line
    assert '5 checkpoints of 0.00 GB to come' in line
