"""PanopticMetric: maps in memory give the numbers that files give, in one process and in two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from panoptic_cases import CATEGORIES, CATEGORY_IDS, random_scene, write_files

from mmxf.evaluation.panoptic_files import PanopticFormatError, evaluate_files
from mmxf.registry import METRICS

CLASSES = [category['name'] for category in CATEGORIES]
SCENES = [random_scene(seed) for seed in range(5)]  # none with a predicted segment 0


def coded(scene) -> torch.Tensor:
    """The prediction of a scene as a model gives it: (1, H, W), label + 1000 * instance."""
    pred, infos = scene[2], scene[3]
    out = np.full(pred.shape, len(CLASSES))
    for number, info in enumerate(infos, 1):
        out[pred == info['id']] = CATEGORY_IDS.index(info['category_id']) + 1000 * number
    return torch.from_numpy(out)[None]


def sample(image_id: int) -> dict:
    return {
        'img_id': image_id,
        'img_path': f'{image_id}.jpg',
        'pred_panoptic_seg': {'sem_seg': coded(SCENES[image_id])},
    }


def build(folder: Path, **kwargs):
    paths = write_files(folder, SCENES)
    metric = METRICS.build(
        {
            'type': 'PanopticMetric',
            'ann_file': paths['gt_json'],
            'seg_prefix': paths['gt_dir'],
            'out_dir': str(folder / 'out'),
            **kwargs,
        }
    )
    metric.dataset_meta = {'classes': CLASSES}
    return metric, paths


def percent(results: dict) -> dict:
    return {
        f'panoptic/{key.upper()}{suffix}': pytest.approx(100 * results[group][key], abs=1e-9)
        for group, suffix in (('All', ''), ('Things', '_th'), ('Stuff', '_st'))
        for key in ('pq', 'sq', 'rq')
    }


def test_memory_and_files_agree_and_results_are_kept(tmp_path):
    metric, paths = build(tmp_path, outfile_prefix=str(tmp_path / 'mine'))
    metric.process({}, [sample(0), sample(1)])
    metric.process({}, [sample(2), sample(3), sample(4)])
    results = metric.evaluate(5)
    expected = evaluate_files(**paths)
    assert results == percent(expected)
    kept = json.loads((tmp_path / 'out/panoptic.json').read_text())
    assert kept['All'] == pytest.approx(expected['All']) and kept['images'] == 5
    written = evaluate_files(
        paths['gt_json'], tmp_path / 'mine.panoptic.json', paths['gt_dir'], tmp_path / 'mine.panoptic'
    )
    assert written['per_class'] == expected['per_class']


def test_label_zero_without_instance_is_a_segment(tmp_path):
    gt = np.full((2, 4), 9)
    paths = write_files(tmp_path, [(gt, [{'id': 9, 'category_id': 1, 'area': 8, 'iscrowd': 0}], gt, [])])
    metric = METRICS.build(
        {'type': 'PanopticMetric', 'ann_file': paths['gt_json'], 'outfile_prefix': str(tmp_path / 'mine')}
    )
    metric.dataset_meta = {'classes': CLASSES}
    metric.process({}, [{'img_id': 0, 'img_path': '', 'pred_panoptic_seg': {'sem_seg': torch.zeros(1, 2, 4).long()}}])
    assert metric.evaluate(1)['panoptic/PQ'] == 100
    assert evaluate_files(paths['gt_json'], tmp_path / 'mine.panoptic.json')['All']['pq'] == 1


def test_classes_meet_categories_by_name(tmp_path):
    metric, paths = build(tmp_path)
    order = [3, 0, 6, 1, 5, 2, 4]
    metric.dataset_meta = {'classes': [CLASSES[k] for k in order]}
    relabel = np.append(np.argsort(order), 7)
    for image_id in range(5):
        data = sample(image_id)
        seg = data['pred_panoptic_seg']['sem_seg'].numpy()
        data['pred_panoptic_seg']['sem_seg'] = torch.from_numpy(seg - seg % 1000 + relabel[seg % 1000])
        metric.process({}, [data])
    assert metric.evaluate(5) == percent(evaluate_files(**paths))


def test_an_image_that_comes_twice_counts_once(tmp_path):
    metric, paths = build(tmp_path)
    for image_id in (0, 1, 2, 3, 4, 0):
        metric.process({}, [sample(image_id)])
    assert metric.evaluate(6) == percent(evaluate_files(**paths))


def test_format_only(tmp_path):
    metric, _ = build(tmp_path, outfile_prefix=str(tmp_path / 'mine'), format_only=True)
    metric.process({}, [sample(0)])
    assert metric.evaluate(1) == {}
    assert json.loads((tmp_path / 'mine.panoptic.json').read_text())['annotations'][0]['image_id'] == 0
    with pytest.raises(ValueError, match='outfile_prefix'):
        build(tmp_path, format_only=True)


def test_bad_input_is_named(tmp_path):
    metric, _ = build(tmp_path)
    with pytest.raises(KeyError, match='image 0: .*pred_panoptic_seg'):
        metric.process({}, [{'img_id': 0}])
    with pytest.raises(PanopticFormatError, match="image 'x'.*gt.json has no annotation"):
        metric.process({}, [{**sample(0), 'img_id': 'x'}])
    small = {'sem_seg': sample(0)['pred_panoptic_seg']['sem_seg'][:, 1:]}
    with pytest.raises(PanopticFormatError, match='image 0: ground truth is'):
        metric.process({}, [{**sample(0), 'pred_panoptic_seg': small}])
    beyond = {'sem_seg': torch.full_like(sample(0)['pred_panoptic_seg']['sem_seg'], 3008)}
    with pytest.raises(ValueError, match='image 0: the predicted value 3008 means class 8, but there are 7'):
        metric.process({}, [{**sample(0), 'pred_panoptic_seg': beyond}])
    metric, _ = build(tmp_path)
    metric.dataset_meta = {'classes': [*CLASSES, 'unicorn']}
    with pytest.raises(ValueError, match="7 categories lack 1 of the data set's 8 classes, 'unicorn'"):
        metric.process({}, [sample(0)])


WORKER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import torch.distributed as dist
import test_panoptic_metric as t
dist.init_process_group('gloo', init_method=sys.argv[3], rank=int(sys.argv[4]), world_size=2)
metric, _ = t.build(Path(sys.argv[2]) / str(dist.get_rank()), out_dir=str(Path(sys.argv[2]) / 'out'))
for image_id in ([0, 2, 4], [1, 3])[dist.get_rank()]:
    metric.process({}, [t.sample(image_id)])
results = metric.evaluate(5)
(Path(sys.argv[2]) / f'rank{dist.get_rank()}.json').write_text(json.dumps(results))
dist.barrier()
dist.destroy_process_group()
"""


def test_two_processes_with_uneven_shares_give_the_numbers_of_one(tmp_path):
    rendezvous = (tmp_path / 'rendezvous').as_uri()
    command = [sys.executable, '-c', WORKER, str(Path(__file__).parent), str(tmp_path), rendezvous]
    workers = [
        subprocess.Popen(
            [*command, str(rank)],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''},
        )
        for rank in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=900)
        assert worker.returncode == 0, errors
    expected = percent(evaluate_files(**write_files(tmp_path / 'files', SCENES)))
    for rank in range(2):
        assert json.loads((tmp_path / f'rank{rank}.json').read_text()) == expected
    assert json.loads((tmp_path / 'out/panoptic.json').read_text())['images'] == 5
