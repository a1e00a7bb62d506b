"""The dataset configs: official numbers, references that resolve, and pipelines that build and run."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmxf.config import load_config
from mmxf.datasets import transforms
from mmxf.datasets.tolerant import TolerantDataset, read_report
from mmxf.registry import DATASETS, MODELS

# Of the official code: crop, scales, images in all, then on 8 GPUs.
OFFICIAL = {
    'coco': ((1281, 1281), (0.2, 2.0), 64, 133),
    'cityscapes': ((1025, 2049), (0.5, 2.0), 32, 19),
    'ade20k': ((1281, 1281), (0.5, 2.0), 64, 150),
}


def load(name, tmp_path, base_folder, size):
    path = tmp_path / 'root.py'
    path.write_text(
        f"_base_ = '{base_folder}/datasets/{name}_panoptic.py'\n"
        f"default_scope = 'mmxf'\nimage_size = {size}\nnum = '${{num_classes}}'\n"
    )
    return load_config(path, {'data_root': f'{tmp_path}/'})


@pytest.fixture
def base_folder(request):
    return request.config.rootpath / 'configs/_base_'


@pytest.mark.parametrize('name', OFFICIAL)
def test_official_numbers(name, tmp_path, base_folder):
    size, scales, batch, classes = OFFICIAL[name]
    cfg = load(name, tmp_path, base_folder, size)
    assert cfg.num == classes and cfg.train_dataloader.batch_size * 8 == batch
    pipeline = {t.type: t for t in cfg.train_dataloader.dataset.pipeline}
    second = {t.type: t for t in pipeline['PanopticCopyPaste'].pipeline}
    jitters = [pipeline['LargeScaleJitter'], second['LargeScaleJitter']]
    assert [tuple(j['size']) for j in jitters] == [size, size] and tuple(pipeline['PadToSize'].size) == size
    assert tuple(jitters[0].scale_range) == scales
    assert tuple(jitters[1].scale_range) == (scales[0] / 2, scales[1] / 2)
    test = {t.type: t for t in cfg.test_dataloader.dataset.pipeline}
    assert tuple(test['ResizeToFit']['size']) == size
    assert cfg.val_dataloader == cfg.test_dataloader and cfg.test_evaluator[: len(cfg.val_evaluator)] == cfg.val_evaluator
    val, evaluator = cfg.val_dataloader.dataset, cfg.val_evaluator[0]
    assert evaluator.type == 'PanopticMetric'
    assert evaluator.ann_file == val.data_root + val.ann_file
    assert evaluator.seg_prefix == val.data_root + val.data_prefix.seg


def write_tree(dataset_cfg, samples: int = 2):
    """Files where the config looks for them: squares of the first thing class on the first stuff class."""
    root, prefix = dataset_cfg.data_root, dataset_cfg.data_prefix
    meta = DATASETS.get(dataset_cfg.type).METAINFO
    categories = [
        {'id': i + 3, 'name': n, 'isthing': int(n in meta['thing_classes'])}
        for i, n in enumerate(meta['classes'])
    ]
    ids_of = {c['name']: c['id'] for c in categories}
    raw = {'images': [], 'annotations': [], 'categories': categories}
    for i in range(samples):
        name = f'city_{i}_gtFine_leftImg8bit' if 'Cityscapes' in dataset_cfg.type else f'{i}'
        ids = np.full((60, 90), 1)
        ids[10:40, 20 + i : 60] = 2
        kind = 'png' if 'Cityscapes' in dataset_cfg.type else 'jpg'
        raw['images'].append({'id': i, 'file_name': f'{name}.{kind}', 'height': 60, 'width': 90})
        raw['annotations'].append(
            {
                'image_id': i,
                'file_name': f'{name}.png',
                'segments_info': [
                    {'id': 1, 'category_id': ids_of[meta['stuff_classes'][0]], 'iscrowd': 0},
                    {'id': 2, 'category_id': ids_of[meta['thing_classes'][0]], 'iscrowd': 0},
                ],
            }
        )
        image = (
            f'{root}{prefix.img}city/city_{i}_leftImg8bit.png'
            if 'city' in name
            else f'{root}{prefix.img}{name}.jpg'
        )
        for path, array in (
            (image, ids * 100),
            (f'{root}{prefix.seg}{name}.png', ids[..., None] * [0, 0, 1]),
        ):
            _make_parent(path)
            cv2.imwrite(path, array.astype(np.uint8))
    _make_parent(root + dataset_cfg.ann_file)
    with open(root + dataset_cfg.ann_file, 'w') as f:
        json.dump(raw, f)


def _make_parent(path):
    Path(path).parent.mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize('name', OFFICIAL)
def test_pipelines_run_on_the_tree_of_the_config(name, tmp_path, base_folder):
    cfg = load(name, tmp_path, base_folder, (97, 129))
    write_tree(cfg.train_dataloader.dataset)
    write_tree(cfg.val_dataloader.dataset)
    np.random.seed(0)
    train = DATASETS.build(cfg.train_dataloader.dataset)[0]
    assert train['inputs'].shape == (3, 97, 129)
    assert train['data_samples'].gt_panoptic_index.data.shape == (1, 25, 33)
    meta = train['data_samples'].metainfo
    assert {'img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'flip', 'mix_img_paths'} <= set(
        meta
    )
    test = DATASETS.build(cfg.test_dataloader.dataset)[1]
    assert test['inputs'].shape == (3, 86, 129) and test['data_samples'].ori_shape == (60, 90)
    assert 'gt_instances' not in test['data_samples']


def write_other_truth(name: str, dataset_cfg, samples: int = 2) -> None:
    """What the evaluators read besides the panoptic files, of the tree that write_tree writes."""
    root, meta = Path(dataset_cfg.data_root), DATASETS.get(dataset_cfg.type).METAINFO
    thing, stuff = (meta['classes'].index(meta[f'{kind}_classes'][0]) for kind in ('thing', 'stuff'))
    instances = {
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'height': 60, 'width': 90} for i in range(samples)],
        'annotations': [
            {'id': i + 1, 'image_id': i, 'category_id': thing + 3, 'iscrowd': 0, 'area': 30 * (40 - i),
             'bbox': [20 + i, 10, 40 - i, 30],
             'segmentation': [[20 + i, 10, 60, 10, 60, 40, 20 + i, 40]]} for i in range(samples)],
        'categories': [{'id': k + 3, 'name': label} for k, label in enumerate(meta['classes'])
                       if label in meta['thing_classes']]}
    if name == 'coco':
        (root / 'annotations/instances_val2017.json').write_text(json.dumps(instances))
    for i in range(samples):
        square = np.zeros((60, 90), bool)
        square[10:40, 20 + i : 60] = True
        if name == 'ade20k':
            path = root / f'annotations/validation/{i}.png'
            _make_parent(path)
            cv2.imwrite(str(path), np.where(square, thing + 1, stuff + 1).astype(np.uint8))
        elif name == 'cityscapes':
            from cityscapesscripts.helpers.labels import trainId2label

            stem = root / f'gtFine/val/city/city_{i}_gtFine'
            _make_parent(stem)
            cv2.imwrite(f'{stem}_labelTrainIds.png', np.where(square, thing, stuff).astype(np.uint8))
            instance = np.where(square, trainId2label[thing].id * 1000, trainId2label[stuff].id)
            cv2.imwrite(f'{stem}_instanceIds.png', instance.astype(np.uint16))


class Oracle(BaseModel):
    """Sees what write_tree painted: one instance of the first thing on the first stuff."""

    def __init__(self, thing: int, stuff: int, data_preprocessor=None) -> None:
        super().__init__(data_preprocessor)
        self.thing, self.stuff = thing, stuff

    def forward(self, inputs, data_samples=None, mode='tensor'):
        for sample in data_samples:
            square = torch.zeros(60, 90, dtype=torch.bool)
            left = 20 + int(Path(sample.img_path).stem.removeprefix('city_')[0])
            square[10:40, left:60] = True
            semantic = torch.where(square, self.thing, self.stuff)
            instances = {
                'labels': torch.tensor([self.thing]), 'scores': torch.tensor([0.9]), 'masks': square[None],
                'bboxes': torch.tensor([[left, 10.0, 60.0, 40.0]])}
            result = {'semantic': semantic, 'instances': instances, 'panoptic': square + 1, 'segments_info': [
                {'label': self.stuff, 'id': 0}, {'label': self.thing, 'id': 1}]}
            MODELS.get('PanopticSegmentor').fill(sample, result, num_classes=1000)
        return data_samples


@pytest.mark.parametrize('name, ap', [
    ('coco', 'coco/segm_mAP'), ('cityscapes', 'cityscapes/mAP'), ('ade20k', 'coco/segm_mAP')])
def test_a_test_run_gives_pq_ap_and_miou(name, ap, tmp_path, base_folder, monkeypatch):
    cfg = load(name, tmp_path, base_folder, (97, 129))
    write_tree(cfg.val_dataloader.dataset)
    write_other_truth(name, cfg.val_dataloader.dataset)
    meta = DATASETS.get(cfg.val_dataloader.dataset.type).METAINFO
    thing, stuff = (meta['classes'].index(meta[f'{kind}_classes'][0]) for kind in ('thing', 'stuff'))
    monkeypatch.setattr(Runner, '_log_env', lambda self, env_cfg: None)
    runner = Runner(
        Oracle(thing, stuff), str(tmp_path / 'run'), default_scope='mmxf', log_level='WARNING',
        test_dataloader={**cfg.test_dataloader, 'num_workers': 0, 'persistent_workers': False},
        test_cfg={'type': 'TestLoop'}, test_evaluator=cfg.test_evaluator, experiment_name=str(tmp_path))
    metrics = runner.test()
    assert metrics['panoptic/PQ'] == metrics['semantic/mIoU'] == 100
    assert metrics[ap] == pytest.approx(1)


def test_a_bad_second_image_is_the_one_that_is_reported(tmp_path, base_folder):
    cfg = load('coco', tmp_path, base_folder, (97, 129))
    write_tree(cfg.train_dataloader.dataset, samples=8)
    bad = tmp_path / 'train2017/1.jpg'
    bad.write_bytes(bad.read_bytes()[:-200])
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    dataset = TolerantDataset(dataset, report_file=str(tmp_path / 'report.jsonl'))
    np.random.seed(0)
    seen = [dataset[i]['data_samples'].metainfo for i in (0, 2) * 20]
    assert len(seen) == 40 and all(str(bad) not in [m['img_path'], *m['mix_img_paths']] for m in seen)
    report = read_report(dataset.report_file)
    assert set(report) == {1} and report[1]['file'] == str(bad) and 'cut off' in report[1]['error']


def test_transforms_are_all_in_the_registry():
    from mmxf.registry import TRANSFORMS

    assert all(TRANSFORMS.get(name) is getattr(transforms, name) for name in transforms.__all__)
