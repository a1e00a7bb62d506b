import copy

import numpy as np
import pytest
import torch
from toy import CLASSES, write_toy
from toy.toy_segmentor import set_all

from mmxf.apis import CheckpointError, ImageError, inference, init_model, open_config
from mmxf.apis.synthetic import open_at_size, synthetic_batch
from mmxf.config import UserError


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """Config of the toy, and a checkpoint that says 'box' everywhere."""
    folder = tmp_path_factory.mktemp('toy')
    config = write_toy(folder)
    model = init_model(config)
    set_all(model, 1)
    torch.save(
        dict(
            state_dict=model.state_dict(),
            meta=dict(dataset_meta=dict(model.dataset_meta)),
            optimizer=dict(a=torch.zeros(2)),
        ),
        folder / 'toy.pth',
    )
    return folder


def save(folder, name, change):
    checkpoint = torch.load(folder / 'toy.pth', weights_only=True)
    change(checkpoint)
    torch.save(checkpoint, folder / name)
    return folder / name


def test_model_comes_in_eval_mode_with_config_and_classes(toy):
    model = init_model(str(toy / 'toy.py'), str(toy / 'toy.pth'), device='cpu', cfg_options={'image_size': (64, 64)})
    assert not model.training and model.cfg.image_size == (64, 64)
    assert model.dataset_meta['classes'] == CLASSES and model.dataset_meta['palette'][0] == (200, 30, 30)
    again = init_model(model.cfg, toy / 'toy.pth')  # a Config will do, and is not changed
    assert again.cfg is not model.cfg and torch.equal(again.backbone.weight, model.backbone.weight)


def test_inference_takes_paths_arrays_and_lists(toy):
    model = init_model(toy / 'toy.py', toy / 'toy.pth')
    path = toy / 'images' / 'first.jpg'
    sample = inference(model, path)
    assert sample.pred_panoptic_seg.sem_seg.shape == (1, 48, 64) and sample.img_path == str(path)
    assert (sample.pred_panoptic_seg.sem_seg % 1000 == 1).all()
    odd = np.zeros((31, 45, 3), np.uint8)
    for batch_size in (1, 2, 3):
        samples = inference(model, [path, odd, str(path)], batch_size=batch_size)
        assert [tuple(s.pred_panoptic_seg.sem_seg.shape) for s in samples] == [(1, 48, 64), (1, 31, 45), (1, 48, 64)]
    assert inference(model, []) == []


def test_batches_give_what_single_images_give(toy):
    torch.manual_seed(0)
    model = init_model(toy / 'toy.py')
    paths = [toy / 'images' / 'first.jpg', toy / 'images' / 'second.jpg']
    for one, batched in zip([inference(model, p) for p in paths], inference(model, paths, batch_size=2)):
        assert torch.equal(one.pred_panoptic_seg.sem_seg, batched.pred_panoptic_seg.sem_seg)


def test_bad_images_are_named(toy, tmp_path):
    model = init_model(toy / 'toy.py')
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.png').write_text('hello')
    whole = (toy / 'images' / 'first.jpg').read_bytes()
    (tmp_path / 'cut.jpg').write_bytes(whole[: len(whole) // 2])
    for name in ('empty.jpg', 'text.png', 'cut.jpg', 'absent.jpg'):
        with pytest.raises(ImageError, match=name):
            inference(model, tmp_path / name)
    (tmp_path / 'tail.jpg').write_bytes(whole + b'something behind the picture')
    inference(model, tmp_path / 'tail.jpg')
    with pytest.raises(ImageError, match=r'\(48, 64\).*\(H, W, 3\)'):
        inference(model, np.zeros((48, 64), np.uint8))
    with pytest.raises(ImageError, match='float64'):
        inference(model, [np.zeros((48, 64, 3))])


def test_keys_that_do_not_fit_are_named(toy):
    def change(checkpoint):
        state = checkpoint['state_dict']
        state['backbone.wait'] = state.pop('backbone.weight')
        state['head.classes.weight'] = torch.zeros(4, 9)

    with pytest.raises(CheckpointError) as error:
        init_model(toy / 'toy.py', save(toy, 'bad.pth', change))
    text = str(error.value)
    assert 'bad.pth' in text and 'missing in the checkpoint:\n    backbone.weight' in text
    assert 'not in the model:\n    backbone.wait' in text
    assert 'head.classes.weight: (4, 9) in the checkpoint, (4, 8) in the model' in text


@pytest.mark.parametrize('named', [True, False])
def test_class_counts_that_differ_are_named(toy, named):
    def change(checkpoint):
        for name, parameter in checkpoint['state_dict'].items():
            if name.startswith(('head', 'auxiliary')):
                more = 4 if name.startswith('head.masks') or name.startswith('auxiliary') else 5
                checkpoint['state_dict'][name] = torch.zeros(more + 1, *parameter.shape[1:])
        checkpoint['meta'] = dict(dataset_meta=dict(classes=list('abcde'))) if named else {}

    with pytest.raises(CheckpointError, match='trained for 5 classes.*model for 3'):
        init_model(toy / 'toy.py', save(toy, 'five.pth', change))


def test_only_training_parts_may_be_missing(toy):
    def without(prefix):
        def change(checkpoint):
            state = checkpoint['state_dict']
            checkpoint['state_dict'] = {k: v for k, v in state.items() if not k.startswith(prefix)}

        return change

    init_model(toy / 'toy.py', save(toy, 'light.pth', without('auxiliary')))
    with pytest.raises(CheckpointError, match='head.masks.bias'):
        init_model(toy / 'toy.py', save(toy, 'headless.pth', without('head')))


def test_ddp_prefix_and_bare_state_dicts_load(toy):
    def bare(checkpoint):
        state = checkpoint.pop('state_dict')
        checkpoint.clear()
        checkpoint.update({f'module.{k}': v for k, v in state.items()})

    model = init_model(toy / 'toy.py', save(toy, 'bare.pth', bare))
    assert model.head['masks'].bias.tolist() == [0, 1, 0]


def test_code_in_a_checkpoint_does_not_run(toy, tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / 'was_here'), 'w')

    torch.save(dict(state_dict=dict(a=Evil())), tmp_path / 'evil.pth')
    with pytest.raises(CheckpointError, match='evil.pth'):
        init_model(toy / 'toy.py', tmp_path / 'evil.pth')
    assert not (tmp_path / 'was_here').exists()


def test_missing_files_and_devices_are_named(toy, tmp_path):
    with pytest.raises(UserError, match='toyy.py'):
        init_model(toy / 'toyy.py')
    with pytest.raises(CheckpointError, match='none.pth does not exist.*toy.pth'):
        init_model(toy / 'toy.py', toy / 'none.pth')
    with pytest.raises(CheckpointError, match='folder'):
        init_model(toy / 'toy.py', toy)
    with pytest.raises(UserError, match='device'):
        init_model(toy / 'toy.py', device='toaster')
    (tmp_path / 'cut.pth').write_bytes((toy / 'toy.pth').read_bytes()[:700])
    with pytest.raises(CheckpointError, match='cut.pth'):
        init_model(toy / 'toy.py', tmp_path / 'cut.pth')
    torch.save(dict(epoch=3), tmp_path / 'none.pth')
    with pytest.raises(CheckpointError, match='no weights.*epoch'):
        init_model(toy / 'toy.py', tmp_path / 'none.pth')


def test_options_do_not_change_the_callers_config(toy):
    cfg = open_config(toy / 'toy.py')
    before = copy.deepcopy(cfg.to_dict())
    assert open_config(cfg, {'model.num_classes': 7}).model.num_classes == 7
    assert cfg.to_dict() == before


def test_synthetic_batches_follow_the_contract(toy):
    model = init_model(toy / 'toy.py')
    cfg, shape = open_at_size(toy / 'toy.py', (50, 70))
    assert cfg.image_size == shape == (50, 70)
    batch = synthetic_batch(model, cfg, shape, batch=2, training=True)
    assert batch['inputs'].shape == (2, 3, 64, 80)  # the toy's preprocessor pads to multiples of 16
    for sample in batch['data_samples']:
        index, labels = sample.gt_panoptic_index.data, sample.gt_instances.labels
        assert index.shape == (1, 13, 18) and labels.min() >= 0 and labels.max() <= 2
        assert index.min() == 0 and index.max() == len(labels) - 1
        assert (labels == 2).sum() == 1  # floor is stuff: one segment
    losses = model(**batch, mode='loss')
    assert torch.isfinite(losses['loss_pixel'])


@pytest.mark.parametrize(
    ('scope', 'dataset', 'things'), [('mmxf', 'CocoPanoptic', 80), ('mmdet', 'CocoPanopticDataset', 80)]
)
def test_classes_come_from_the_data_sets_class_without_its_files(scope, dataset, things):
    from mmengine.config import Config

    from mmxf.apis import dataset_meta

    inner = dict(type=dataset, ann_file='nowhere.json')
    for wrapped in (
        inner,
        dict(type='RepeatDataset', times=2, dataset=inner),
        dict(type='ConcatDataset', datasets=[inner, inner]),
    ):
        meta = dataset_meta(Config(dict(default_scope=scope, train_dataloader=dict(dataset=wrapped))))
        assert len(meta['classes']) == 133 and len(meta['thing_classes']) == things and len(meta['palette']) == 133
    assert dataset_meta(Config(dict(default_scope=scope))) == {}
