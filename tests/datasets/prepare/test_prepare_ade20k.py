"""ADE20K panoptic files: the published rules, written here mask by mask, on generated labels."""

import json
import shutil
import tarfile

import cv2
import numpy as np
import pytest

from mmxf.datasets.ade20k_classes import ADE20K_CLASSES, ADE20K_METAINFO
from mmxf.datasets.prepare.ade20k import THING_IDS, prepare
from mmxf.datasets.prepare.segments import measure_segments
from mmxf.evaluation.panoptic_files import evaluate_files
from mmxf.evaluation.panoptic_png import read_panoptic_png


@pytest.fixture
def root(tmp_path):
    """Two training images: stuff and things in the semantic map, instances that overlap stuff."""
    base = tmp_path / 'ADEChallengeData2016'
    for kind in ('images', 'annotations', 'annotations_instance'):
        (base / kind / 'training').mkdir(parents=True)
    random = np.random.RandomState(0)
    for stem in ('ADE_train_00000001', 'ADE_train_00000002'):
        semantic = np.zeros((50, 70), np.uint8)
        instances = np.zeros((50, 70, 3), np.uint8)  # BGR: unused, number, class
        for number in range(1, 12):
            y, x = random.randint(0, 40), random.randint(0, 50)
            where = slice(y, y + random.randint(3, 30)), slice(x, x + random.randint(3, 40))
            semantic[where] = random.randint(0, 151)
            if number % 3:
                kind = random.randint(1, 101)
                instances[where] = 0, number, kind
                semantic[where] = THING_IDS[kind - 1] + 1
        semantic[10:20, 10:40] = 3  # sky, partly under instances
        cv2.imwrite(str(base / f'images/training/{stem}.jpg'), np.zeros((50, 70, 3), np.uint8))
        cv2.imwrite(str(base / f'annotations/training/{stem}.png'), semantic)
        cv2.imwrite(str(base / f'annotations_instance/training/{stem}.png'), instances)
    return base


def plain(semantic: np.ndarray, instances: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """(category, stated area, mask of what is visible) of each segment, stuff first, things over it."""
    out = []
    covered = instances[..., 1] > 0
    for value in np.unique(semantic):
        if value and not ADE20K_CLASSES[value - 1][1]:
            mask = semantic == value
            out.append((value - 1, mask.sum(), mask & ~covered))
    things = [k for k in range(150) if ADE20K_CLASSES[k][1]]
    for number in np.unique(instances[..., 1]):
        if number:
            mask = instances[..., 1] == number
            out.append((things[instances[mask][0, 2] - 1], mask.sum(), mask))
    return out


def test_table_is_the_challenge():
    assert [len(ADE20K_METAINFO[key]) for key in ('classes', 'thing_classes', 'stuff_classes')] == [150, 100, 50]
    assert len(set(ADE20K_METAINFO['classes'])) == len(ADE20K_METAINFO['palette']) == 150
    # Where the instance labels' own numbering (1..100) meets the 150 classes (from 1): first, some, last.
    assert [int(THING_IDS[k - 1]) + 1 for k in (1, 2, 3, 4, 37, 58, 94, 100)] == [8, 9, 11, 13, 65, 90, 143, 150]


def test_published_rules(root):
    report = prepare(root, ('train',), workers=2)
    assert not report.missing and len(report.made) == 1
    content = json.loads((root / 'ade20k_panoptic_train.json').read_text())
    assert [image['id'] for image in content['images']] == ['ADE_train_00000001', 'ADE_train_00000002']
    assert content['images'][0] == {
        'id': 'ADE_train_00000001',
        'file_name': 'ADE_train_00000001.jpg',
        'width': 70,
        'height': 50,
    }
    hidden = 0
    for annotation in content['annotations']:
        ids = read_panoptic_png(root / 'ade20k_panoptic_train' / annotation['file_name'])
        semantic = cv2.imread(str(root / f'annotations/training/{annotation["file_name"]}'), -1)
        instances = cv2.imread(str(root / f'annotations_instance/training/{annotation["file_name"]}'))
        expected = plain(semantic, instances)
        assert len(annotation['segments_info']) == len(expected)
        for info, (category, area, mask) in zip(annotation['segments_info'], expected):
            assert (info['category_id'], info['area'], info['iscrowd']) == (category, area, 0)
            assert ((ids == info['id']) == mask).all()
            hidden += int(area) - int(mask.sum())
        assert ((ids == 0) == ~np.any([mask for _, _, mask in expected], 0)).all()
    assert hidden > 0  # the case that the stated area is about did occur


def test_result_is_a_ground_truth_that_can_be_scored(root):
    prepare(root, ('train',))
    path = root / 'ade20k_panoptic_train.json'
    content = json.loads(path.read_text())
    for annotation in content['annotations']:  # as predictions, segments without pixels must go
        ids = set(np.unique(read_panoptic_png(root / 'ade20k_panoptic_train' / annotation['file_name'])).tolist())
        annotation['segments_info'] = [info for info in annotation['segments_info'] if info['id'] in ids]
    pred = root / 'pred.json'
    pred.write_text(json.dumps(content))
    results = evaluate_files(path, pred, pred_dir=root / 'ade20k_panoptic_train')
    assert results['Things'] == {'pq': 1.0, 'sq': 1.0, 'rq': 1.0, 'n': results['Things']['n']}


def test_boxes_and_areas():
    ids = np.array([[7, 7, 0, 7], [0, 7, 0, 2**23], [0, 0, 0, 2**23]])
    values, areas, boxes = measure_segments(ids)
    assert values.tolist() == [0, 7, 2**23] and areas.tolist() == [6, 4, 2]
    assert boxes[1:].tolist() == [[0, 0, 4, 2], [3, 1, 1, 2]]


def test_without_instance_labels_the_download_is_named(root):
    shutil.rmtree(root / 'annotations_instance')
    report = prepare(root.parent, ('train',))
    assert len(report.missing) == 1 and not report.made
    message = report.missing[0]
    assert 'annotations_instance/training/: 2 of 2 label maps' in message
    assert 'sceneparsing.csail.mit.edu/data/ChallengeData2017/annotations_instance.tar' in message
    assert f'into {root}/' in message


def test_instance_archive_is_unpacked(root):
    with tarfile.open(root / 'annotations_instance.tar', 'w') as file:
        file.add(root / 'annotations_instance', 'annotations_instance')
    shutil.rmtree(root / 'annotations_instance')
    report = prepare(root, ('train',))
    assert not report.missing and len(report.made) == 2


def test_archive_that_points_outside_is_refused(root):
    shutil.rmtree(root / 'annotations_instance')
    with tarfile.open(root / 'annotations_instance.tar', 'w') as file:
        file.add(root / 'images', '../evil')
    with pytest.raises(ValueError, match='points outside'):
        prepare(root, ('train',))
    assert not (root.parent / 'evil').exists()


def test_second_run_changes_nothing(root):
    prepare(root, ('train',))
    files = {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()}
    report = prepare(root, ('train',))
    assert not report.made and not report.missing
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()} == files


def test_broken_labels_are_named(root):
    path = root / 'annotations_instance/training/ADE_train_00000002.png'
    instances = cv2.imread(str(path))
    instances[0, :2] = [[0, 99, 1], [0, 99, 2]]
    cv2.imwrite(str(path), instances)
    with pytest.raises(ValueError, match='ADE_train_00000002.png: an instance number is used by two classes'):
        prepare(root, ('train',))
    cv2.imwrite(str(path), instances[:9])
    with pytest.raises(ValueError, match=r'ADE_train_00000002.png: semantic map is \(50, 70\)'):
        prepare(root, ('train',))


def test_real_semantic_labels_without_instances(real_data, tmp_path):
    for kind, source in (('images', 'images'), ('annotations', 'annotations')):
        shutil.copytree(real_data / 'ade20k_sample' / source, tmp_path / kind / 'validation')
    report = prepare(tmp_path, ('val',))
    assert [line for line in report.ready if '3 label maps' in line]
    assert len(report.missing) == 1 and 'annotations_instance.tar' in report.missing[0]
