"""The loss on the validation set from the pass that gives the metrics, and metrics on a slice of the training set."""
import json

import pytest
import torch

from mmxf.engine.loops import MissingTargetsError
from mmxf.engine.loops.validation_data import pipeline_holder, train_slice_dataset, train_slice_evaluator, with_targets

LOOP = dict(type='ThoroughValLoop')


def seen_by_validation(toy, monkeypatch):
    """What comes to after_val_epoch."""
    found = []
    call_hook = toy.Runner.call_hook

    def watch(self, name, **kwargs):
        if name == 'after_val_epoch':
            found.append(dict(kwargs['metrics']))
        return call_hook(self, name, **kwargs)

    monkeypatch.setattr(toy.Runner, 'call_hook', watch)
    return found


def test_loss_and_metrics_from_one_pass(toy, tmp_path, monkeypatch):
    found, loaded, prepare = seen_by_validation(toy, monkeypatch), [], toy.ToyData.prepare_data

    def counted(self, index):
        loaded.append(self.test_mode)
        return prepare(self, index)

    monkeypatch.setattr(toy.ToyData, 'prepare_data', counted)
    kwargs = dict(length=6, val=3, model=dict(quiet=True), interval=6)
    plain = toy.train(work_dir=str(tmp_path / 'plain'), **kwargs)
    passes = sum(loaded)
    loaded.clear()
    runner = toy.train(work_dir=str(tmp_path / 'loss'), val_cfg=LOOP, **kwargs)
    assert sum(loaded) == passes == 2 * 8, 'every sample is loaded once a validation'
    without, last = found[1], found[3]
    assert last['error'] == without['error'] and set(last) == {'error', 'val/loss', 'val/loss_square', 'val/loss_abs'}
    # By hand, with the weights at the end of training.
    model = runner.model.cpu().eval()
    square, absolute = [], []
    for batch in runner.val_dataloader:
        y = model.out(model.backbone(torch.stack(batch['inputs'])))[:, 0]
        target = torch.tensor([sample.target for sample in batch['data_samples']])
        square += ((y - target) ** 2).tolist()
        absolute += (0.1 * (y - target).abs()).tolist()
    assert last['val/loss_square'] == pytest.approx(sum(square) / 8, rel=1e-5)
    assert last['val/loss'] == pytest.approx(sum(square) / 8 + sum(absolute) / 8, rel=1e-5)
    scalars = runner.message_hub.log_scalars
    assert scalars['val/val/loss'].current() == pytest.approx(last['val/loss']), 'it is logged'
    lines = [json.loads(line) for path in (tmp_path / 'loss').rglob('scalars.json') for line in path.read_text().splitlines()]
    assert [line['val/loss'] for line in lines if 'error' in line][-1] == pytest.approx(last['val/loss'], rel=1e-5)
    assert not any('loss' in line for line in lines if 'error' in line), "the training loss's curve has no points of validations"
    assert all(torch.equal(a, b) for a, b in zip(plain.model.cpu().state_dict().values(), model.state_dict().values()))


def test_random_draws_of_the_loss(toy, tmp_path, monkeypatch):
    """They are those of every validation, and not taken from training's."""
    found = seen_by_validation(toy, monkeypatch)
    monkeypatch.setattr(toy.ToyModel, 'train', lambda self, mode=True: torch.nn.Module.train(self, mode))
    a = toy.train(work_dir=str(tmp_path / 'a'), length=4, val=10, interval=9)
    b = toy.train(work_dir=str(tmp_path / 'b'), length=4, val=2, val_cfg=LOOP, interval=9)
    assert all(torch.equal(x, y) for x, y in zip(a.model.state_dict().values(), b.model.state_dict().values()))
    b.val_loop.run(), b.val_loop.run()
    assert found[-1]['val/loss'] == found[-2]['val/loss']


def test_loss_over_two_processes(start_two, toy, tmp_path, monkeypatch):
    found = seen_by_validation(toy, monkeypatch)
    kwargs = dict(length=2, val=2, model=dict(quiet=True), val_cfg=LOOP)
    toy.train(work_dir=str(tmp_path / 'one'), batch=8, **kwargs)
    runs = start_two(work_dir=str(tmp_path / 'two'), batch=4, **kwargs)
    for run in runs:
        assert run.finish() == 0, run.output
    from mmxf.engine import load_file
    one, two = (load_file(tmp_path / name / 'iter_2.pth')['message_hub'] for name in ('one', 'two'))
    assert found and 'val/val/loss' not in one['log_scalars'], 'validation follows the checkpoint'
    said = [json.loads(line) for path in (tmp_path / 'two').rglob('scalars.json') for line in path.read_text().splitlines()]
    assert any(line.get('val/loss') == pytest.approx(found[0]['val/loss'], rel=1e-4) and 'error' in line for line in said), said


def test_slice_of_the_training_set(toy, tmp_path, monkeypatch):
    found, loaded, prepare = seen_by_validation(toy, monkeypatch), [], toy.ToyData.prepare_data
    monkeypatch.setattr(toy.ToyData, 'prepare_data', lambda self, i: loaded.append((self.test_mode, i)) or prepare(self, i))
    runner = toy.train(work_dir=str(tmp_path), length=2, val=2, val_cfg=dict(LOOP, loss=False, train_samples=5))
    assert set(found[0]) == {'error', 'train_slice/error'}
    assert [i for test, i in loaded if test] == [*range(8), 0, 6, 12, 17, 23], 'evenly spread over the 24'
    assert 'val/train_slice/error' in runner.message_hub.log_scalars
    with pytest.raises(ValueError, match='must not be negative'):
        toy.train(work_dir=str(tmp_path), length=2, val=2, val_cfg=dict(LOOP, train_samples=-1))


def test_missing_targets_are_named(toy, tmp_path, monkeypatch):
    prepare = toy.ToyData.prepare_data

    def without_target(self, index):
        sample = prepare(self, index)
        if sample is not None and self.test_mode:
            sample['data_samples'].set_metainfo({})
            del sample['data_samples'].target
        return sample

    monkeypatch.setattr(toy.ToyData, 'prepare_data', without_target)
    with pytest.raises(MissingTargetsError, match='target.*val_cfg.load'):
        toy.train(work_dir=str(tmp_path), length=2, val=2, val_cfg=LOOP)


def kinds(loader):
    return [transform['type'] for transform in loader['dataset']['pipeline']]


def test_pipelines_get_what_loads_targets():
    image, load, resize, pack = (dict(type=name) for name in ('LoadImageFromFile', 'LoadPanopticSegments', 'ResizeToFit', 'Pack'))
    val = dict(dataset=dict(pipeline=[image, resize, pack]))
    train = dict(dataset=dict(type='Wrapper', dataset=dict(pipeline=[image, load, pack])))
    assert kinds(with_targets(val, train)) == [image['type'], load['type'], resize['type'], 'Pack']
    assert with_targets(val, train)['dataset']['pipeline'][2] == dict(type='ResizeToFit', resize_labels=True)
    assert kinds(val) == ['LoadImageFromFile', 'ResizeToFit', 'Pack'], 'the config itself stays'
    # mmdet loads boxes behind the resizing of the image, for metrics that compare at the original size.
    boxes = dict(type='mmdet.LoadAnnotations', with_bbox=True)
    detection = dict(dataset=dict(pipeline=[image, resize, boxes, pack]))
    assert kinds(with_targets(detection, detection)) == [image['type'], boxes['type'], resize['type'], 'Pack']
    maps = dict(type='mmseg.LoadAnnotations')
    semantic = dict(dataset=dict(pipeline=[image, resize, maps, pack]))
    assert with_targets(semantic, semantic)['dataset']['pipeline'] == semantic['dataset']['pipeline']
    assert kinds(with_targets(semantic, semantic, [load])) == [image['type'], load['type'], 'ResizeToFit', 'Pack']


def test_pipeline_of_the_training_slice(tmp_path):
    """Of wrappers that mix samples the inner one makes them; objects are cut out by the outer one."""
    coco = dict(type='mmdet.CocoDataset', pipeline=[dict(type='LoadImageFromFile')])
    assert pipeline_holder(dict(type='mmdet.MultiImageMixDataset', dataset=coco, pipeline=[dict(type='mmdet.Mosaic')])) is coco
    image = dict(id=7, file_name='a.png', width=80, height=60)
    boxes = [dict(id=i, image_id=7, category_id=1, bbox=[10, 10, 20, 30], area=600, iscrowd=0) for i in range(3)]
    (tmp_path / 'ann.json').write_text(json.dumps(dict(images=[image], annotations=boxes, categories=[dict(id=1, name='x')])))
    crops = dict(type='ObjectCrops', pipeline=[dict(type='CropToBox')], dataset=dict(
        type='mmdet.CocoDataset', data_root=str(tmp_path), ann_file='ann.json', data_prefix=dict(img=''),
        metainfo=dict(classes=('x', ))))
    validation = dict(dataset=dict(crops, test_mode=True, pipeline=[dict(type='PackClassificationInputs')]))
    found = train_slice_dataset(dict(train_dataloader=dict(dataset=crops)), validation)
    assert len(found) == 3 and found.test_mode
    assert [type(transform).__name__ for transform in found.pipeline.transforms] == ['PackClassificationInputs']


def test_files_of_the_training_set_for_its_metrics():
    train, val = (dict(data_root='data/x/', ann_file=f'{name}.json', data_prefix=dict(img=f'{name}/', seg=f'seg_{name}/'))
                  for name in ('train', 'val'))
    cfg = dict(train_dataloader=dict(dataset=train), val_dataloader=dict(dataset=val), val_evaluator=[
        dict(type='A', ann_file='data/x/val.json', seg_prefix='data/x/seg_val/', other='val.json')])
    assert train_slice_evaluator(cfg) == [
        dict(type='A', ann_file='data/x/train.json', seg_prefix='data/x/seg_train', other='val.json')]
    cfg['val_evaluator'][0]['ann_file'] = 'elsewhere.json'
    with pytest.raises(ValueError, match="val_evaluator.0.ann_file='elsewhere.json'.*train_evaluator"):
        train_slice_evaluator(cfg)
