"""Cityscapes preparation against cityscapesscripts' own converters, on generated and on real label maps."""

import json
import shutil

import cv2
import numpy as np
import pytest
from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic
from cityscapesscripts.preparation.json2labelImg import json2labelImg

from mmxf.datasets.prepare.cityscapes import prepare

STEMS = ['aachen/aachen_000000_000019', 'ulm/ulm_000001_000019']


@pytest.fixture
def root(tmp_path):
    """A tree of two small training images whose maps hold stuff, instances, crowds and ignored classes."""
    random = np.random.RandomState(0)
    for stem in STEMS:
        (tmp_path / 'leftImg8bit/train' / stem).parent.mkdir(parents=True)
        (tmp_path / 'gtFine/train' / stem).parent.mkdir(parents=True)
        cv2.imwrite(str(tmp_path / f'leftImg8bit/train/{stem}_leftImg8bit.png'), np.zeros((40, 80, 3), np.uint8))
        instances = np.full((40, 80), 7, np.uint16)
        for value in (0, 1, 4, 11, 26, 24, 26000, 26001, 24003, 33000, 14, 29):
            x, y = random.randint(0, 60), random.randint(0, 30)
            instances[y : y + random.randint(3, 20), x : x + random.randint(3, 30)] = value
        labels = np.where(instances >= 1000, instances // 1000, instances).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f'gtFine/train/{stem}_gtFine_instanceIds.png'), instances)
        cv2.imwrite(str(tmp_path / f'gtFine/train/{stem}_gtFine_labelIds.png'), labels)
    return tmp_path


def assert_like_official(root, out):
    convert2panoptic(str(root / 'gtFine'), str(out), False, ['train'])
    name = 'cityscapes_panoptic_train'
    assert json.loads((root / f'gtFine/{name}.json').read_text()) == json.loads((out / f'{name}.json').read_text())
    pngs = sorted((out / name).iterdir())
    assert pngs
    for png in pngs:
        assert (cv2.imread(str(png)) == cv2.imread(str(root / 'gtFine' / name / png.name))).all(), png.name


def test_panoptic_files_are_the_official_ones(root, tmp_path):
    report = prepare(root, ('train',), workers=2)
    assert not report.missing and len(report.made) == 2
    (tmp_path / 'official').mkdir()
    assert_like_official(root, tmp_path / 'official')


def test_train_ids_are_those_drawn_from_polygons(tmp_path, root):
    """The official tool draws polygons; mapping label ids gives the same picture."""
    names = ['road', 'car', 'cargroup', 'license plate', 'sky', 'ground', 'person', 'rail track', 'caravan']
    objects = [
        {'label': name, 'polygon': [[5 * k, 3 * k], [5 * k + 30, 3 * k], [5 * k + 30, 3 * k + 12], [5 * k, 39]]}
        for k, name in enumerate(names)
    ]
    polygons = tmp_path / 'polygons.json'
    polygons.write_text(json.dumps({'imgHeight': 40, 'imgWidth': 80, 'objects': objects}))
    stem = root / f'gtFine/train/{STEMS[0]}_gtFine'
    json2labelImg(str(polygons), f'{stem}_labelIds.png', 'ids')
    json2labelImg(str(polygons), str(tmp_path / 'official.png'), 'trainIds')
    prepare(root, ('train',))
    made = cv2.imread(f'{stem}_labelTrainIds.png', cv2.IMREAD_UNCHANGED)
    assert (made == cv2.imread(str(tmp_path / 'official.png'), cv2.IMREAD_UNCHANGED)).all()
    assert {0, 13, 10, 255} <= set(np.unique(made).tolist())


def test_second_run_changes_nothing_and_holes_are_filled(root):
    prepare(root, ('train',))
    files = {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()}
    report = prepare(root, ('train',))
    assert not report.made and not report.missing
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file()} == files
    hole = next((root / 'gtFine/cityscapes_panoptic_train').iterdir())
    content = hole.read_bytes()
    hole.unlink()
    assert len(prepare(root, ('train',)).made) == 1
    assert hole.read_bytes() == content


def test_check_only_writes_nothing(root):
    files = sorted(root.rglob('*'))
    report = prepare(root, ('train',), check_only=True)
    assert len(report.missing) == 2 and 'without --check-only' in report.missing[0]
    assert sorted(root.rglob('*')) == files


def test_absent_downloads_are_named(root, tmp_path):
    (root / f'gtFine/train/{STEMS[1]}_gtFine_instanceIds.png').unlink()
    report = prepare(root, ('train', 'val'))
    assert len(report.missing) == 2
    assert 'ulm_000001_000019_gtFine_instanceIds.png' in report.missing[0]
    assert 'gtFine_trainvaltest.zip from https://www.cityscapes-dataset.com' in report.missing[0]
    assert 'leftImg8bit/val' in report.missing[1] and 'leftImg8bit_trainvaltest.zip' in report.missing[1]


def test_archives_in_the_root_are_unpacked(root, tmp_path):
    bare = tmp_path / 'bare'
    bare.mkdir()
    for name, folder in (('leftImg8bit_trainvaltest', 'leftImg8bit'), ('gtFine_trainvaltest', 'gtFine')):
        shutil.make_archive(str(bare / name), 'zip', root, folder)
    report = prepare(bare, ('train',))
    assert not report.missing and len(report.made) == 4
    assert not list(bare.glob('.unpacking-*'))
    shutil.rmtree(bare / 'gtFine')
    archive = bare / 'gtFine_trainvaltest.zip'
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(ValueError, match='gtFine_trainvaltest.zip: broken archive'):
        prepare(bare, ('train',))


def test_broken_map_is_named(root):
    path = root / f'gtFine/train/{STEMS[1]}_gtFine_instanceIds.png'
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(ValueError, match='ulm_000001_000019_gtFine_instanceIds.png: not a grey PNG'):
        prepare(root, ('train',))
    assert not (root / 'gtFine/cityscapes_panoptic_train.json').exists()


def test_real_labels(real_data, tmp_path):
    stems = sorted(
        path.name[: -len('_leftImg8bit.png')]
        for path in (real_data / 'cityscapes/leftImg8bit/train/aachen').glob('*.png')
    )[:2]
    for folder, names in (('leftImg8bit', ['leftImg8bit']), ('gtFine', ['gtFine_labelIds', 'gtFine_instanceIds'])):
        (tmp_path / folder / 'train/aachen').mkdir(parents=True)
        for stem in stems:
            for name in names:
                shutil.copy(
                    real_data / 'cityscapes' / folder / f'train/aachen/{stem}_{name}.png',
                    tmp_path / folder / 'train/aachen',
                )
    report = prepare(tmp_path, ('train',), workers=2)
    assert not report.missing and any('holds 2 images, the official split 2975' in note for note in report.notes)
    (tmp_path / 'official').mkdir()
    assert_like_official(tmp_path, tmp_path / 'official')
    train_ids = cv2.imread(str(tmp_path / f'gtFine/train/aachen/{stems[0]}_gtFine_labelTrainIds.png'), -1)
    assert set(np.unique(train_ids)) <= {*range(19), 255} and (train_ids == 0).mean() > 0.1  # road
