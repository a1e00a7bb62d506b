"""A pass over an annotation file finds every entry that no reader can use, and names each with its image and one cause."""
import json
from pathlib import Path

import pytest

import mmxf  # noqa: F401
from mmxf.datasets.annotation_file import build_dataset, describe, examine
from mmxf.datasets.check import Report
from mmxf.datasets.check.coco import check_file, has_outline
from mmxf.datasets.errors import DatasetError

ROOT = Path(__file__).parents[2]


def objects() -> dict:
    """Two images of 64 x 48, three boxes."""
    return {'images': [{'id': i, 'file_name': f'{i}.jpg', 'width': 64, 'height': 48} for i in (1, 2)],
            'categories': [{'id': 5, 'name': 'cat'}],
            'annotations': [{'id': 10 + i, 'image_id': image, 'category_id': 5, 'bbox': [4, 4, 10, 10], 'area': 100}
                            for i, image in enumerate((1, 1, 2))]}


def segments() -> dict:
    """Two images of 64 x 48, two segments each."""
    return {**objects(), 'annotations': [
        {'image_id': image, 'file_name': f'{image}.png', 'segments_info': [
            {'id': i, 'category_id': 5, 'bbox': [0, 0, 64, 48]} for i in (7, 8)]} for image in (1, 2)]}


def report_of(content: dict, tmp_path, **kwargs) -> Report:
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(content))
    report = Report('train')
    check_file(report, path, **kwargs)
    return report


@pytest.mark.parametrize('make', [objects, segments])
def test_sound_files_have_no_faults_and_stay_as_they_are(make):
    assert examine(make()) == ([], make())


@pytest.mark.parametrize('change, place, seen', [
    (lambda c: c['annotations'][0].update(bbox=[1, 2, 3]), 'annotation 10 of image 1 (1.jpg)', 'bbox is [1, 2, 3]'),
    (lambda c: c['annotations'][0].update(bbox=None), 'annotation 10 of image 1 (1.jpg)', 'bbox is None'),
    (lambda c: c['annotations'][0].update(category_id=99), 'annotation 10 of image 1 (1.jpg)',
     'category_id 99 is not among the categories of the file (ids 5)'),
    (lambda c: c['annotations'][0].pop('category_id'), 'annotation 10 of image 1 (1.jpg)', 'has no category_id (ids 5)'),
    (lambda c: c['annotations'][0].pop('area'), 'annotation 10 of image 1 (1.jpg)', 'has no area'),
    (lambda c: c['annotations'][0].pop('id'), 'annotation 0 of the list of image 1 (1.jpg)', 'has no id'),
    (lambda c: c['annotations'][1].update(id=10), 'annotation 10 of image 1 (1.jpg)', 'id 10'),
    (lambda c: c['annotations'][0].update(image_id=3), 'annotation 10', 'image_id 3 is not among the images'),
    (lambda c: c['images'][1].pop('height'), 'image 2 (2.jpg)', 'has no height'),
])
def test_faults_of_objects(change, place, seen):
    content = objects()
    change(content)
    (fault,), sound = examine(content)
    assert (fault.place, fault.seen) == (place, seen)
    assert len(sound['annotations']) == 2 and examine(sound)[0] == []


@pytest.mark.parametrize('change, place, seen', [
    (lambda a: a['segments_info'][1].update(category_id=99), 'image 1 (1.jpg), segment 8', 'category_id 99 is not among'),
    (lambda a: a['segments_info'][1].pop('id'), 'image 1 (1.jpg), segment 1 of the list', "{'category_id': 5"),
    (lambda a: a.pop('file_name'), 'annotation of image 1 (1.jpg)', 'has no file_name'),
    (lambda a: a.pop('segments_info'), 'annotation of image 1 (1.jpg)', 'has no segments_info'),
    (lambda a: a.pop('image_id'), 'annotation 0 of the list', "{'file_name'"),
])
def test_faults_of_segments_leave_out_the_image_whose_png_still_shows_them(change, place, seen):
    content = segments()
    change(content['annotations'][0])
    (fault,), sound = examine(content)
    assert fault.place == place and fault.seen.startswith(seen)
    assert [a['image_id'] for a in sound['annotations']] == [2] and examine(sound)[0] == []


def test_messages_name_the_file_and_the_first_few():
    content = objects()
    content['annotations'] = [{**content['annotations'][0], 'id': i, 'bbox': [i]} for i in range(8)]
    text = describe('a/ann.json', examine(content)[0])
    assert text.startswith('a/ann.json: 8 entries cannot be used\n  annotation 0 of image 1 (1.jpg): bbox is [0]\n')
    assert 'bbox is [4]' in text and 'bbox is [5]' not in text and '... and 3 more' in text and text.count('->') == 1
    assert examine([1])[0][0].seen == 'holds a list'


def test_the_error_of_a_reader_becomes_one_that_names_the_entry(tmp_path):
    content, path = objects(), tmp_path / 'ann.json'
    content['annotations'][2]['bbox'] = [1, 2, 3]
    path.write_text(json.dumps(content))
    config = dict(type='mmdet.CocoDataset', ann_file='ann.json', data_root=str(tmp_path), metainfo=dict(classes=('cat',)),
                  data_prefix=dict(img=''), pipeline=[])
    with pytest.raises(DatasetError) as error:
        build_dataset(config)
    assert str(error.value).startswith(f'{path}: annotation 12 of image 2 (2.jpg): bbox is [1, 2, 3]')
    assert 'mmdet.CocoDataset stopped with ValueError: not enough values' in str(error.value)
    path.write_text(json.dumps(objects()))
    with pytest.raises(TypeError, match='no_such_argument'):        # not the file's fault
        build_dataset(dict(config, no_such_argument=1))
    path.write_text('{"images": [')
    with pytest.raises(DatasetError, match='ann.json is no valid JSON'):
        build_dataset(config)


def test_a_validation_that_mmdet_reads_names_the_entry_too(tmp_path, capsys):
    """mmengine builds that data set, so that the run's end is the first place to look."""
    from mmxf.cli.make_miniworld import main as make
    from mmxf.cli.train import main as train

    assert not make(['--root', str(tmp_path / 'world'), '--train', '2', '--val', '2', '--size', '64', '64', '--workers', '1'])
    path = next((tmp_path / 'world').rglob('*instances_val*.json'))
    content = json.loads(path.read_text())
    content['annotations'][0]['bbox'] = [1, 2, 3]
    path.write_text(json.dumps(content))
    assert train([str(ROOT / 'configs/kat/kat_detection_mini.py'), '--work-dir', str(tmp_path / 'run'), '--cfg-options',
                  f'data_root={tmp_path}/world/', 'train_dataloader.batch_size=1', 'train_dataloader.num_workers=0',
                  'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
                  'val_dataloader.persistent_workers=False', 'image_size=(64,64)']) == 1
    said = capsys.readouterr().err
    said = said[said.index('error: '):]
    assert str(path) in said and 'bbox is [1, 2, 3]' in said and 'the reader stopped with ValueError' in said
    assert 'Traceback' not in said


def test_boxes_of_segments_are_looked_at(tmp_path):
    content = segments()
    for segment, box in zip(content['annotations'][0]['segments_info'], ([5, 5, 0, 9], [60, 5, 10, 10])):
        segment['bbox'] = box
    content['annotations'][1]['segments_info'][0]['bbox'] = [1, 2]
    content['annotations'][1]['segments_info'][1]['bbox'] = [0, 0, 65, 48]       # a pixel of rounding
    report = report_of(content, tmp_path)
    assert {kind: [place for place, _ in problem.places] for kind, problem in report.problems.items()} == {
        f'segments whose box {what}': [f'{tmp_path}/ann.json, image {place}'] for what, place in (
            ('has no area', '1 (1.jpg), segment 7'), ('reaches outside of its image', '1 (1.jpg), segment 8'),
            ('is not four numbers', '2 (2.jpg), segment 7'))}
    assert not report.errors        # our readers go by the PNGs


def test_outlines_are_missed_only_where_they_are_wanted(tmp_path):
    content = objects()
    for annotation in content['annotations']:
        annotation['segmentation'] = []         # as files of boxes alone have them
    assert not report_of(content, tmp_path).problems
    assert len(report_of(content, tmp_path, masks=True).problems['objects without outline'].places) == 3
    content['annotations'][0]['segmentation'] = [[0, 0, 9, 0, 9, 9]]
    content['annotations'][1]['segmentation'] = [[0, 0, 9, 0]]
    report = report_of(content, tmp_path)
    (place, seen), = report.problems['objects without outline'].places
    assert 'annotation 12, 2.jpg' in place and seen == 'segmentation is []'
    assert len(report.problems['objects with an outline of fewer than three points'].places) == 1 and not report.errors
    assert has_outline({'counts': 'abc', 'size': [4, 4]}) and not has_outline({'size': [4, 4]})


@pytest.mark.parametrize('x, y, visibility, found', [
    (5000, 5, 2, True), (-500, 5, 1, True), (float('nan'), 5, 2, True), (5, 60, 2, True), (5, 60, 1, False), (66, 5, 2, False),
    (5000, 5, 0, False)])
def test_keypoints_far_outside(x, y, visibility, found, tmp_path):
    content = objects()
    content['categories'][0]['keypoints'] = ['nose', 'tail']
    content['annotations'][0]['keypoints'] = [3, 3, 2, x, y, visibility]
    problems = report_of(content, tmp_path).problems
    assert list(problems) == (['keypoints far outside of their image'] if found else [])
    if found:
        (place, seen), = problems['keypoints far outside of their image'].places
        assert place == f'{tmp_path}/ann.json, annotation 10, 1.jpg' and seen.startswith('joint 1 ') and '64 x 48' in seen


def test_keypoints_that_are_not_numbers(tmp_path):
    content = objects()
    content['categories'][0]['keypoints'] = ['nose']
    content['annotations'][0]['keypoints'] = [3, 'x', 2]
    (place, seen), = report_of(content, tmp_path).problems['keypoints that are not numbers'].places
    assert 'annotation 10' in place and seen == "[3, 'x', 2]"


def test_files_of_other_formats_are_passed_over(tmp_path):
    assert not report_of([{'image': 'a.jpg'}], tmp_path).problems
    assert not report_of({'metainfo': {}, 'data_list': []}, tmp_path).problems
