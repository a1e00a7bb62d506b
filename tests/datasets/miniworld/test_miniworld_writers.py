import errno
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmxf.cli.make_miniworld import main
from mmxf.datasets.miniworld import METAINFO, writers
from mmxf.datasets.miniworld.writers import ExistingDataError, Request, sample, write_dataset

REPOSITORY = Path(__file__).parents[3]
REQUEST = Request(train=6, val=3, width=64, height=48, seed=5)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('miniworld')
    assert write_dataset(root, REQUEST)
    return root


def ids_of(path) -> np.ndarray:
    bgr = cv2.imread(str(path)).astype(int)
    return bgr[..., 2] + 256 * bgr[..., 1] + 65536 * bgr[..., 0]


def test_panoptic_files_say_what_was_rendered(root):
    data = json.loads((root / 'annotations/panoptic_train.json').read_text())
    assert [c['name'] for c in data['categories']] == list(METAINFO['classes'])
    assert [c['name'] for c in data['categories'] if c['isthing']] == list(METAINFO['thing_classes'])
    assert len(data['images']) == len(data['annotations']) == 6
    for k, (image, ann) in enumerate(zip(data['images'], data['annotations'])):
        frame = sample(REQUEST, 'train', k)
        ids = ids_of(root / 'panoptic_train' / ann['file_name'])
        assert image['id'] == ann['image_id'] and ids.shape == (48, 64)
        assert np.array_equal(ids, frame.segments)
        assert {s['id'] for s in ann['segments_info']} == set(np.unique(ids).tolist())
        for s in ann['segments_info']:
            assert s['area'] == (ids == s['id']).sum() and s['iscrowd'] == 0
        picture = cv2.imread(str(root / 'train' / image['file_name']))[..., ::-1].astype(int)
        assert np.abs(picture - frame.image).mean() < 6  # JPEG


def test_instances_equal_the_panoptic_segments(root):
    coco = COCO(str(root / 'annotations/instances_val.json'))
    panoptic = json.loads((root / 'annotations/panoptic_val.json').read_text())
    assert coco.getCatIds() == [1, 2, 3, 4]
    people = 0
    for ann in panoptic['annotations']:
        ids = ids_of(root / 'panoptic_val' / ann['file_name'])
        things = [s for s in ann['segments_info'] if s['category_id'] <= 4]
        own = coco.loadAnns(coco.getAnnIds(imgIds=ann['image_id']))
        assert len(own) == len(things) >= 2
        for a, s in zip(own, things):
            assert (a['category_id'], a['bbox'], a['area']) == (s['category_id'], s['bbox'], s['area'])
            assert np.array_equal(coco.annToMask(a).astype(bool), ids == s['id'])
            if a['category_id'] == 1:
                people += 1
                joints = np.reshape(a['keypoints'], (17, 3))
                assert a['num_keypoints'] == (joints[:, 2] > 0).sum()
                for x, y, v in joints:
                    assert v < 2 or ids[int(y), int(x)] == s['id']
    assert people and len({a['id'] for a in coco.dataset['annotations']}) == len(coco.dataset['annotations'])


def test_dataset_class_reads_it(root):
    from mmxf.registry import DATASETS

    data = DATASETS.build(
        dict(
            type='MiniWorldPanoptic',
            data_root=str(root),
            pipeline=[],
            ann_file='annotations/panoptic_val.json',
            data_prefix=dict(img='val', seg='panoptic_val'),
        )
    )
    assert len(data) == 3
    assert data.metainfo['classes'] == METAINFO['classes']
    want = sample(REQUEST, 'val', 1).segments_info
    assert [(s['id'], s['label'], s['isthing']) for s in data[1]['segments_info']] == [
        (s['id'], s['label'], s['isthing']) for s in want
    ]


def contents(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob('*')) if p.is_file()}


def test_workers_do_not_change_a_byte(root, tmp_path):
    other = Request(**{**REQUEST.__dict__, 'train': 9})
    write_dataset(tmp_path / 'one', other, workers=1)
    write_dataset(tmp_path / 'two', other, workers=2)
    one, two = contents(tmp_path / 'one'), contents(tmp_path / 'two')
    assert one == two and len(one) > 20
    # A longer set begins with the shorter one's pictures.
    assert one[Path('train/000000000006.jpg')] == contents(root)[Path('train/000000000006.jpg')]


def test_second_run_finds_it_and_other_arguments_are_refused(root, tmp_path):
    before = contents(root)
    assert not write_dataset(root, REQUEST)
    with pytest.raises(ExistingDataError, match='seed: 5 there, 6 wanted'):
        write_dataset(root, Request(6, 3, 64, 48, seed=6))
    assert contents(root) == before
    copy = tmp_path / 'set'
    small = Request(2, 0, 32, 32)
    assert write_dataset(copy, small) and not (copy / 'val').exists()
    (copy / 'annotations/panoptic_train.json').unlink()
    with pytest.raises(ExistingDataError, match='lost annotations/panoptic_train.json'):
        write_dataset(copy, small)
    assert write_dataset(copy, Request(0, 2, 32, 32), force=True)
    assert (copy / 'val').exists() and not (copy / 'train').exists()


def test_other_data_is_never_touched(tmp_path):
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/mine.json').write_text('{}')
    for force in (False, True):
        with pytest.raises(ExistingDataError, match='not a MiniWorld'):
            write_dataset(tmp_path, REQUEST, force=force)
    assert (tmp_path / 'annotations/mine.json').exists()


def test_full_disk_leaves_no_half_set(tmp_path, monkeypatch, capsys):
    real = writers.write_frame

    def full(request, folder, split, index):
        if index == 2:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return real(request, folder, split, index)

    monkeypatch.setattr(writers, 'write_frame', full)
    arguments = [
        '--root',
        str(tmp_path),
        '--train',
        '4',
        '--val',
        '1',
        '--size',
        '32',
        '32',
        '--workers',
        '1',
    ]
    assert main(arguments) == 1
    assert 'No space left' in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ['.lock']
    monkeypatch.undo()
    assert main(arguments) == 0 and (tmp_path / 'miniworld.json').exists()
    assert main(arguments) == 0 and 'already holds' in capsys.readouterr().out


def test_kill_while_moving_into_place_is_recovered(tmp_path, monkeypatch):
    small, moves, real = Request(2, 1, 32, 32), [], writers.os.replace
    write_dataset(tmp_path, Request(1, 1, 32, 32, seed=9))

    def dying(source, target):
        moves.append(target)
        if len(moves) == 3:
            raise SystemExit  # as good as dead: nothing after it runs
        real(source, target)

    monkeypatch.setattr(writers.os, 'replace', dying)
    with pytest.raises(SystemExit):
        write_dataset(tmp_path, small, force=True)
    assert not (tmp_path / 'miniworld.json').exists()
    monkeypatch.undo()
    stale = tmp_path / writers.PARTIAL / 'train'  # what a kill while rendering leaves
    stale.mkdir(parents=True)
    (stale / 'old.jpg').touch()
    assert write_dataset(tmp_path, small)
    assert len(list((tmp_path / 'train').iterdir())) == 2
    assert not [p for p in tmp_path.iterdir() if p.name in (writers.PARTIAL, writers.MOVING)]


def test_sequences_share_scene_and_tracks(tmp_path):
    write_dataset(tmp_path, Request(6, 0, 64, 48, frames_per_scene=3))
    data = json.loads((tmp_path / 'annotations/instances_train.json').read_text())
    assert [(i['video_id'], i['frame_id']) for i in data['images']] == [
        (1, 0),
        (1, 1),
        (1, 2),
        (2, 0),
        (2, 1),
        (2, 2),
    ]
    kinds = {}
    for ann in data['annotations']:
        key = ((ann['image_id'] - 1) // 3, ann['track_id'])
        assert kinds.setdefault(key, ann['category_id']) == ann['category_id']


@pytest.mark.parametrize(
    'arguments, word',
    [
        (['--train', '-1'], 'train'),
        (['--size', '4', '4'], 'width'),
        (['--train', '0', '--val', '0'], 'nothing to write'),
    ],
)
def test_bad_arguments_are_named(tmp_path, capsys, arguments, word):
    assert main(['--root', str(tmp_path), *arguments]) == 2
    assert word in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = (
        'import sys; sys.argv = ["make_miniworld.py", "--help"]\n'
        'try:\n    import runpy; runpy.run_path("tools/make_miniworld.py", run_name="__main__")\n'
        'except SystemExit: pass\n'
        'assert not {"torch", "numpy", "cv2", "mmengine"} & set(sys.modules)'
    )
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=REPOSITORY)
    assert out.returncode == 0 and '--frames-per-scene' in out.stdout, out.stderr
