"""Scoring of files: panopticapi's numbers, and what is said about files that contradict one another."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from panoptic_cases import CATEGORIES, random_scene, write_files

from mmxf.evaluation.panoptic_files import PanopticFormatError, evaluate_files
from mmxf.evaluation.panoptic_png import MAX_SEGMENT_ID, read_panoptic_png, write_panoptic_png

REFERENCE = json.loads((Path(__file__).parent / 'panopticapi_reference.json').read_text())


def assert_equal(results: dict, reference: dict) -> None:
    for group in ('All', 'Things', 'Stuff'):
        for key in ('pq', 'sq', 'rq', 'n'):
            assert results[group][key] == pytest.approx(reference[group][key], abs=1e-9), (group, key)
    for category_id, values in reference['per_class'].items():
        for key, value in values.items():
            assert results['per_class'][int(category_id)][key] == pytest.approx(value, abs=1e-9), category_id


@pytest.mark.parametrize('workers', [1, 3])
def test_generated_scenes_score_as_with_panopticapi(tmp_path, workers):
    paths = write_files(tmp_path, [random_scene(seed) for seed in range(40)])
    assert_equal(evaluate_files(**paths, workers=workers), REFERENCE['generated'])


@pytest.mark.parametrize('name', ['pred_2ch', 'pred_perturbed'])
def test_real_predictions_score_as_with_panopticapi(real_data, name):
    folder = real_data / 'coco_panoptic'
    results = evaluate_files(folder / 'annotations/panoptic_val2017.json', folder / f'predictions/{name}.json')
    assert_equal(results, REFERENCE['coco_val'][name])
    assert results['images'] == 2 and not results['notes']


@pytest.fixture
def scene(tmp_path):
    """Files of one scene of two segments, and a way to change one of the JSON files."""
    gt = np.array([[1, 1, 1, 2, 2, 0]])
    infos = [
        {'id': 1, 'category_id': 1, 'area': 3, 'iscrowd': 0},
        {'id': 2, 'category_id': 41, 'area': 2, 'iscrowd': 0},
    ]
    paths = write_files(tmp_path, [(gt, infos, gt, [{'id': s['id'], 'category_id': s['category_id']} for s in infos])])

    def change(name, function):
        path = Path(paths[f'{name}_json'])
        content = json.loads(path.read_text())
        function(content)
        path.write_text(json.dumps(content))

    return paths, change


def test_perfect_prediction(scene):
    results = evaluate_files(**scene[0])
    assert results['All'] == {'pq': 1.0, 'sq': 1.0, 'rq': 1.0, 'n': 2}
    assert [results[group]['n'] for group in ('Things', 'Stuff')] == [1, 1]


def test_segment_in_the_png_that_the_json_does_not_list(scene):
    paths, change = scene
    change('pred', lambda content: content['annotations'][0]['segments_info'].pop())
    with pytest.raises(
        PanopticFormatError, match=r'image 0: .*pred/0\.png holds segment id 2 \(2 pixels\).*pred\.json'
    ):
        evaluate_files(**paths)


def test_segment_in_the_json_without_pixels(scene):
    paths, change = scene
    change(
        'pred',
        lambda content: content['annotations'][0]['segments_info'].append({'id': 77, 'category_id': 1}),
    )
    with pytest.raises(PanopticFormatError, match=r'image 0: .*pred\.json lists segment ids \[77\].*pred/0\.png'):
        evaluate_files(**paths)


def test_unknown_category(scene):
    paths, change = scene
    change('pred', lambda content: content['annotations'][0]['segments_info'][0].update(category_id=999))
    with pytest.raises(PanopticFormatError, match=r'image 0: segment id 1 in .*pred\.json has category_id 999'):
        evaluate_files(**paths)


def test_image_without_prediction(scene):
    paths, change = scene
    change('gt', lambda content: content['annotations'].append({**content['annotations'][0], 'image_id': 'lost'}))
    with pytest.raises(PanopticFormatError, match="no prediction for 1 of 2 images, .*'lost'"):
        evaluate_files(**paths)


def test_prediction_without_image_is_noted(scene):
    paths, change = scene
    change(
        'pred',
        lambda content: content['annotations'].append({**content['annotations'][0], 'image_id': 'more'}),
    )
    assert "'more'" in evaluate_files(**paths)['notes'][0]


def test_ground_truth_that_contradicts_itself_is_scored_and_noted(scene):
    paths, change = scene
    change('gt', lambda content: content['annotations'][0]['segments_info'][1].update(id=3))
    results = evaluate_files(**paths)
    assert results['per_class'][41]['fn'] == 1 and results['per_class'][41]['fp'] == 1
    assert any('holds segment ids [2]' in note for note in results['notes'])
    assert any('lists segment ids [3]' in note for note in results['notes'])


def test_missing_and_broken_files(scene, tmp_path):
    paths, change = scene
    png = Path(paths['pred_dir']) / '0.png'
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(PanopticFormatError, match=r'image 0: .*0\.png: cannot be decoded'):
        evaluate_files(**paths)
    cv2.imwrite(str(png), np.zeros((2, 3), np.uint8))
    with pytest.raises(PanopticFormatError, match='8-bit RGB'):
        evaluate_files(**paths)
    write_panoptic_png(png, np.ones((2, 3), int))
    with pytest.raises(PanopticFormatError, match='ground truth is 6x1 .* prediction is 3x2'):
        evaluate_files(**paths)
    png.unlink()
    with pytest.raises(PanopticFormatError, match=r'image 0: .*no such panoptic PNG'):
        evaluate_files(**paths)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        evaluate_files(**{**paths, 'gt_dir': str(tmp_path / 'nowhere')})
    change('gt', lambda content: content.pop('categories'))
    with pytest.raises(PanopticFormatError, match="gt.json: no key 'categories'"):
        evaluate_files(**paths)
    Path(paths['gt_json']).write_text('{')
    with pytest.raises(PanopticFormatError, match='gt.json: not valid JSON'):
        evaluate_files(**paths)


def test_instance_annotations_are_recognised(scene):
    paths, change = scene
    change(
        'gt',
        lambda content: content.update(annotations=[{'image_id': 1, 'segmentation': [], 'category_id': 1}]),
    )
    with pytest.raises(PanopticFormatError, match='an instance annotation file'):
        evaluate_files(**paths)


def test_png_round_trip(tmp_path):
    ids = np.array([[0, 1, 255, 256], [65535, 65536, 1234567, MAX_SEGMENT_ID]])
    write_panoptic_png(tmp_path / 'x.png', ids)
    assert (read_panoptic_png(tmp_path / 'x.png') == ids).all()
    blue_green_red = cv2.imread(str(tmp_path / 'x.png'))
    assert blue_green_red[1, 2].tolist() == [1234567 >> 16, 1234567 >> 8 & 255, 1234567 & 255]
    cv2.imwrite(str(tmp_path / 'a.png'), np.concatenate((blue_green_red, np.full((2, 4, 1), 9, np.uint8)), 2))
    assert (read_panoptic_png(tmp_path / 'a.png') == ids).all()
    with pytest.raises(ValueError, match='16777215'):
        write_panoptic_png(tmp_path / 'x.png', np.array([[MAX_SEGMENT_ID + 1]]))
    assert [path.name for path in tmp_path.glob('*.part')] == []


def test_categories_of_the_cases_have_things_and_stuff():
    assert sorted({category['isthing'] for category in CATEGORIES}) == [0, 1]
