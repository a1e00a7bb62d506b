"""The dataset check finds what it promises, names the files, and passes sound data."""
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import mmxf  # noqa: F401
from mmxf.cli.check_dataset import main
from mmxf.datasets.check import Report, check_dataset
from mmxf.datasets.check.classes import check_heads, check_stored_names
from mmxf.datasets.check.run import spread

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def rendered(tmp_path_factory) -> Path:
    from mmxf.cli.make_miniworld import main as make

    root = tmp_path_factory.mktemp('world')
    assert not make(['--root', str(root), '--train', '4', '--val', '2', '--size', '64', '64', '--workers', '1'])
    return root


@pytest.fixture
def world(rendered, tmp_path) -> Path:
    return Path(shutil.copytree(rendered, tmp_path / 'world'))


def check(world: Path, config: str, *more: str) -> int:
    return main([str(ROOT / 'configs' / config), '--out-dir', str(world.parent / 'sheets'), '--json',
                 str(world.parent / 'report.json'), *more, '--cfg-options', f'data_root={world}/'])


def problems(world: Path, split: int = 0) -> dict[str, dict]:
    return {p['kind']: p for p in json.loads((world.parent / 'report.json').read_text())[split]['problems']}


@pytest.mark.parametrize('config', ['kmax/kmax_r18_mini.py', 'kat/kat_detection_mini.py', 'kat/kat_t_mini.py',
                                    'kat/kat_segmentation_mini.py'])
def test_sound_data_passes_with_statistics_and_a_sheet(world, config, capsys):
    assert check(world, config) == 0
    said = capsys.readouterr().out
    assert 'nothing must be mended' in said and 'samples looked at in' in said and ' s in all' in said
    report, _ = json.loads((world.parent / 'report.json').read_text())
    assert report['classes']['person'] and not report['problems']
    sheet = cv2.imread(str(world.parent / 'sheets/train.png'))
    assert sheet is not None and sheet.shape[1] > 640


def test_statistics_are_those_of_the_annotation_file(world):
    assert check(world, 'kat/kat_detection_mini.py', '--split', 'val') == 0
    content = json.loads((world / 'annotations/instances_val.json').read_text())
    names = {c['id']: c['name'] for c in content['categories']}
    counts: dict = {}
    for annotation in content['annotations']:
        counts[names[annotation['category_id']]] = counts.get(names[annotation['category_id']], 0) + 1
    report, = json.loads((world.parent / 'report.json').read_text())
    assert {name: row['objects'] for name, row in report['classes'].items() if row['objects']} == counts


def test_sample_bounds_what_is_opened(world):
    assert check(world, 'kmax/kmax_r18_mini.py', '--sample', '2') == 0
    report = json.loads((world.parent / 'report.json').read_text())[0]
    assert (report['looked_at'], report['total']) == (2, 4)
    assert spread(10, 3) == [0, 4, 9] and spread(3, None) == [0, 1, 2]


def test_files_that_are_gone_or_broken_are_named(world):
    images = sorted((world / 'train').iterdir())
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:400])
    assert check(world, 'kmax/kmax_r18_mini.py') == 1
    found = problems(world)
    assert found['files that are not there']['places'] == [[str(images[0]), 'image']]
    assert found['images that cannot be read']['places'][0][0] == str(images[1])


def test_empty_and_cut_off_label_files_are_named(world):
    """OpenCV raises an error of its own over no bytes, and shows a cut-off PNG half black."""
    empty, cut = sorted((world / 'panoptic_val').iterdir())
    empty.write_bytes(b'')
    cut.write_bytes(cut.read_bytes()[:-20])
    for config in ('kmax/kmax_r18_mini.py', 'kat/kat_segmentation_mini.py'):
        assert check(world, config, '--split', 'val') == 1
        said = dict(problems(world)['images that cannot be read']['places'])
        assert 'empty (0 bytes)' in said[str(empty)] and 'cut off' in said[str(cut)]


def test_training_past_an_empty_label_file_names_it(tmp_path):
    from mmxf.datasets.tolerant import TolerantDataset, read_report

    class Loaded(Maps):
        def __getitem__(self, index: int) -> np.ndarray:
            return cv2.imdecode(np.fromfile(self.infos[index]['seg_map_path'], np.uint8), cv2.IMREAD_UNCHANGED)

    dataset = Loaded(tmp_path, [labels(0), labels(1)], 2)
    (tmp_path / '0.png').write_bytes(b'')
    wrapped = TolerantDataset(dataset)
    assert wrapped[0].max() == 1
    assert read_report(wrapped.report_file)[0]['error'].endswith(f'{tmp_path}/0.png is empty (0 bytes)')


def test_images_without_annotation_are_named(world):
    change(world / 'annotations/panoptic_val.json', lambda content: content['annotations'].pop(0))
    for config in ('kmax/kmax_r18_mini.py', 'kat/kat_segmentation_mini.py'):
        assert check(world, config, '--split', 'val') == 1
        assert [place for place, _ in problems(world)['images without annotation']['places']] == [
            str(sorted((world / 'val').iterdir())[0])]


def test_an_annotation_that_stops_the_reader_hides_nothing_else(world, capsys):
    """All of them are named in one report, and the other samples are looked at."""

    def edit(content):
        content['annotations'][0]['segments_info'][0]['category_id'] = 99
        del content['annotations'][1]['segments_info'][0]['category_id']

    change(world / 'annotations/panoptic_train.json', edit)
    third = sorted((world / 'panoptic_train').iterdir())[2]
    cv2.imwrite(str(third), cv2.imread(str(third))[..., 0])
    assert check(world, 'kmax/kmax_r18_mini.py', '--split', 'train') == 1
    found, file = problems(world), str(world / 'annotations/panoptic_train.json')
    (first, why), (second, other) = found['annotations of categories that the file does not list']['places']
    assert first.startswith(f'{file}, image 1 (000000000001.jpg), segment ') and 'category_id 99 is not among' in why
    assert 'image 2 (' in second and 'has no category_id' in other and 'no key' not in why
    assert found['panoptic PNGs that are no RGB pictures of 8 bits']['places'][0][0] == str(third)
    assert '2 of 2 samples looked at' in capsys.readouterr().out and len(found) == 2


def test_boxes_that_are_not_four_numbers(world):
    def edit(content):
        content['annotations'][0]['bbox'] = [1, 2, 3]
        content['annotations'][1]['segmentation'] = []
        seen = next(a for a in content['annotations'][2:] if 2 in a.get('keypoints', ())[2::3])
        joint = seen['keypoints'][2::3].index(2)
        seen['keypoints'][3 * joint] = 5000
        seen['id'] = 4711

    change(world / 'annotations/instances_train.json', edit)
    for config, looked_at in (('kat/kat_detection_mini.py', 4), ('kat/kat_t_mini.py', 10)):
        assert check(world, config, '--split', 'train') == 1
        found = problems(world)
        (place, seen), = found['boxes that are not four numbers']['places']
        assert place == f'{world}/annotations/instances_train.json, annotation 1 of image 1 (000000000001.jpg)'
        assert seen == 'bbox is [1, 2, 3]'
        (place, seen), = found['keypoints far outside of their image']['places']
        assert 'annotation 4711, ' in place and 'x 5000' in seen and 'visible' in seen
        assert 'annotation 2, ' in found['objects without outline']['places'][0][0]
        assert found['objects without outline']['error'] == ('detection' in config)     # whose pipeline loads masks
        assert json.loads((world.parent / 'report.json').read_text())[0]['looked_at'] >= looked_at


def test_what_else_is_wrong_with_a_data_set_that_cannot_be_read(world, capsys):
    change(world / 'annotations/panoptic_train.json', lambda content: (
        content['annotations'][0]['segments_info'][0].update(category_id=99), content['categories'][0].update(name='persn')))
    assert check(world, 'kmax/kmax_r18_mini.py', '--split', 'train') == 1
    found = problems(world)
    (place, said), = found['data sets that cannot be read']['places']
    assert place == str(world / 'annotations/panoptic_train.json') and f'classes of {place} and of metainfo differ' in said
    assert 'image 1 (' in found['annotations of categories that the file does not list']['places'][0][0]


@pytest.mark.parametrize('config, file, edit, said', [
    ('kmax/kmax_r18_mini.py', 'panoptic_train', lambda c: c['annotations'][0]['segments_info'][0].update(category_id=99),
     'panoptic_train.json: image 1 (000000000001.jpg), segment '),
    ('kmax/kmax_r18_mini.py', 'panoptic_train', lambda c: c['categories'][0].update(name='persn'), "only in the file: ['persn']"),
    ('kat/kat_detection_mini.py', 'instances_train', lambda c: c['annotations'][0].update(bbox=[1, 2, 3]),
     'instances_train.json: annotation 1 of image 1 (000000000001.jpg): bbox is [1, 2, 3]'),
], ids=['category', 'name', 'box'])
def test_training_ends_with_a_plain_error(world, config, file, edit, said, capsys, tmp_path):
    from mmxf.cli.train import main as train

    change(world / f'annotations/{file}.json', edit)
    assert train([str(ROOT / 'configs' / config), '--work-dir', str(tmp_path / 'run'), '--cfg-options',
                  f'data_root={world}/']) == 1
    shown = capsys.readouterr().err
    assert 'error: ' in shown and said in shown     # any other error would have been raised


def test_panoptic_ids_and_colours(world):
    first, second, third = sorted((world / 'panoptic_train').iterdir())[:3]
    png = cv2.imread(str(first))
    png[:8, :8] = (1, 2, 3)
    cv2.imwrite(str(first), png)
    cv2.imwrite(str(second), cv2.imread(str(second))[..., ::-1])                # red and blue swapped
    cv2.imwrite(str(third), cv2.imread(str(third))[..., 0])                     # grey
    assert check(world, 'kmax/kmax_r18_mini.py') == 1
    found = problems(world)
    unknown = dict(found['ids in PNGs that the JSON does not list: their pixels become void']['places'])
    assert f'{3 + 256 * 2 + 65536 * 1} with 64 pixels' in unknown[str(first)]
    assert 'red and blue swapped' in unknown[str(second)]
    assert found['panoptic PNGs that are no RGB pictures of 8 bits']['places'][0][0] == str(third)


def change(path: Path, edit) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_boxes_and_category_names(world, capsys):

    def edit(content):
        content['annotations'][0]['bbox'] = [5, 5, 0, 9]
        content['annotations'][1]['bbox'] = [500, 5, 10, 10]
        content['annotations'][2]['category_id'] = 77
        content['annotations'][3]['image_id'] = 991
        next(c for c in content['categories'] if c['name'] == 'person')['name'] = 'Person'

    change(world / 'annotations/instances_train.json', edit)
    assert check(world, 'kat/kat_detection_mini.py', '--split', 'train') == 1
    found = problems(world)
    for kind, words in {'boxes without area': 'x 5 to 5', 'boxes outside of their image': '500', 'annotations of categories that '
                        'the file does not list': '77', 'annotations of images that the file does not list': '991',
                        'classes that the annotation file does not have: their objects are left out without a word':
                        "'person', the file has 'Person'"}.items():
        assert any(words in ' '.join(place) for place in found[kind]['places']), found
    assert 'set metainfo=dict(classes=(...))' in capsys.readouterr().out


class Maps:
    """A data set of mmsegmentation's kind."""

    ann_file = ''

    def __init__(self, folder: Path, maps: list[np.ndarray], classes: int, **info) -> None:
        self.metainfo = dict(classes=tuple(f'c{i}' for i in range(classes)))
        self.infos = []
        for i, labels in enumerate(maps):
            cv2.imwrite(str(folder / f'{i}.jpg'), np.full((16, 16, 3), 90, np.uint8))
            cv2.imwrite(str(folder / f'{i}.png'), labels)
            self.infos.append(dict(img_path=str(folder / f'{i}.jpg'), seg_map_path=str(folder / f'{i}.png'), **info))

    def __len__(self) -> int:
        return len(self.infos)

    def get_data_info(self, index: int) -> dict:
        return self.infos[index]


def labels(*values: int) -> np.ndarray:
    return np.resize(np.array(values, np.uint8), (16, 16))


def test_label_maps(tmp_path):
    color = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    maps = [labels(0, 1, 255), labels(0, 255), labels(0, 7), color, labels(255), labels(1)[:8]]
    report, _ = check_dataset(Maps(tmp_path, maps, 3), 'train')
    place = {kind: [Path(p).name for p, _ in problem.places] for kind, problem in report.problems.items()}
    assert place == {
        'masks of 0 and 255': ['1.png'], 'labels that are no class': ['2.png'], 'label maps that are colour pictures': ['3.png'],
        'images without objects': ['4.jpg'], 'label maps of another size than the image': ['5.png']}
    assert report.numbers['pixels'][0] > 0 and 'ignored' in report.facts


def test_zero_as_background_is_told_from_a_class(tmp_path):
    report, _ = check_dataset(Maps(tmp_path, [labels(0, 1, 2, 3)], 3), 'train')
    assert 'reduce_zero_label=True' in report.problems['labels that are no class'].cure
    (tmp_path / 'more').mkdir()
    report, _ = check_dataset(Maps(tmp_path / 'more', [labels(0, 1, 2, 3)], 3, reduce_zero_label=True), 'train')
    assert not report.problems and report.numbers['pixels'] == {0: 64, 1: 64, 2: 64}


def test_void_labels_are_told_how_to_ignore(tmp_path):
    report, _ = check_dataset(Maps(tmp_path, [labels(0, 1, 2, 11)], 3), 'train')
    assert 'set ignore_index=11 in the data set' in report.problems['labels that are no class'].cure
    dataset = Maps(tmp_path, [labels(0, 1, 2, 11)], 3)
    dataset.ignore_index = 11
    report, _ = check_dataset(dataset, 'train', model=dict(decode_head=dict(ignore_index=11)))
    assert not report.problems and report.facts['ignored'] == '25.0% of the pixels'
    report, _ = check_dataset(dataset, 'train', model=dict(decode_head=dict(type='Head')))
    assert 'ignore_index=11' in report.problems['heads that learn the label which the data set ignores'].cure


def test_a_sample_that_the_check_does_not_know_is_named_and_the_rest_looked_at(tmp_path):
    dataset = Maps(tmp_path, [labels(0), labels(0), labels(0, 7)], 3)
    dataset.infos[0]['label_map'] = [1]
    report, _ = check_dataset(dataset, 'train')
    (place, _), = report.problems['samples of a form that the check does not know'].places
    assert '0.jpg' in place and '0.png' in place and not report.problems['samples of a form that the check does not know'].error
    assert report.looked_at == 3 and 'labels that are no class' in report.problems


class Depths(Maps):
    def __init__(self, folder: Path, maps: list[np.ndarray], **info) -> None:
        super().__init__(folder, maps, 0)
        for entry in self.infos:
            entry['depth_path'] = entry.pop('seg_map_path')
            entry.update(info)


def test_depth_scale_and_range(tmp_path):
    metres = np.random.default_rng(0).uniform(1, 5, (16, 16))
    millimetres = (metres * 1000).astype(np.uint16)
    good, _ = check_dataset(Depths(tmp_path, [millimetres], depth_scale=1000.0, depth_range=(0.1, 10.0)), 'train')
    assert not good.problems and 'median' in good.facts['depth']
    bad, _ = check_dataset(Depths(tmp_path, [millimetres, millimetres * 0], depth_scale=1.0, depth_range=(0.1, 10.0)), 'train')
    assert 'depth_scale' in bad.problems['depth whose median lies outside of depth_range'].cure
    assert 'knows no depth' in bad.problems['images that cannot be read'].places[0][1]


class People:
    ann_file = ''

    def __init__(self, scale: float, joints: int = 17) -> None:
        from mmxf.datasets.pose_metainfo import H36M_METAINFO

        self.metainfo = H36M_METAINFO
        rng = np.random.default_rng(0)
        self.poses = np.tile(rng.uniform(-0.3, 0.3, (1, joints, 3)), (12, 1, 1)) * scale
        self.points = rng.uniform(-1, 1, (12, joints, 2))

    def __len__(self) -> int:
        return 1

    def get_data_info(self, index: int) -> dict:
        return dict(keypoints_2d=self.points, keypoints_3d=self.poses, file_name='S1 Walking cam0')


def test_poses_in_millimetres_and_joints_too_few():
    assert not check_dataset(People(1.0), 'train')[0].problems
    report, shown = check_dataset(People(1000.0), 'train', pictures=1)
    assert 'divide millimetres by 1000' in report.problems['3-D joints that are not in metres'].cure
    assert shown[0][0] == 'pose'
    report, _ = check_dataset(People(1.0, joints=16), 'train')
    assert report.problems['keypoints of another number than the skeleton has'].places == [('S1 Walking cam0', '16 of 17')]


def test_heads_and_checkpoints_with_other_classes():
    report = Report('train', ('a', 'b'))
    model = dict(head=dict(num_classes=80), rpn_head=dict(num_classes=1), roi=[dict(num_classes=2)])
    check_heads(report, model, 2)
    assert [p for problem in report.problems.values() for p in problem.places] == [
        ('model.head.num_classes', '80, the data set has 2')]
    check_stored_names(report, 'x.pth', ('b', 'a'), report.classes)
    assert report.problems['a checkpoint whose classes have other names, or another order'].error


def test_the_run_stops_before_its_first_iteration(world, tmp_path, capsys):
    """And warns only of a few images that cannot be read, past which it would train."""
    from mmxf.cli.train import main as train

    for path in sorted((world / 'panoptic_train').iterdir()):
        cv2.imwrite(str(path), cv2.imread(str(path))[..., ::-1])
    assert train([str(ROOT / 'configs/kmax/kmax_r18_mini.py'), '--work-dir', str(tmp_path / 'run'), '--cfg-options',
                  f'data_root={world}/', 'train_cfg.max_iters=2', 'train_dataloader.num_workers=0',
                  'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
                  'val_dataloader.persistent_workers=False']) == 1
    said = capsys.readouterr()
    assert 'red and blue swapped' in said.err and 'panoptic_train/000000000001.png' in said.err
    assert 'Iter(train)' not in said.out


def test_what_a_validation_cannot_read_stops_the_run_at_once(world, tmp_path, capsys):
    """Training passes over a few, a validation ends at the first."""
    from mmxf.cli.train import main as train

    config = [str(ROOT / 'configs/kmax/kmax_r18_mini.py'), '--work-dir', str(tmp_path / 'run'), '--cfg-options',
              f'data_root={world}/', 'train_cfg.max_iters=2', 'train_cfg.val_interval=1', 'train_dataloader.batch_size=1',
              'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
              'val_dataloader.persistent_workers=False']
    empty = sorted((world / 'panoptic_val').iterdir())[0]
    empty.write_bytes(b'')
    assert train(config) == 1
    said = capsys.readouterr()
    assert empty.name in said.err and 'val_dataloader.dataset' in said.err and 'Iter(train)' not in said.out


def test_real_panoptic_samples_pass(real_data):
    from mmxf.datasets import CocoPanoptic

    dataset = CocoPanoptic(ann_file='annotations/panoptic_val2017.json', data_root=str(real_data / 'coco_panoptic'),
                           data_prefix=dict(img='val2017', seg='annotations/panoptic_val2017'))
    report, shown = check_dataset(dataset, 'val', pictures=2)
    assert not report.errors and report.looked_at == len(shown) == 2
    assert sum(report.numbers['segments'].values()) > 10


def test_real_label_maps_pass_and_too_few_classes_are_noticed(real_data):
    """CamVid: 11 classes, 11 is void in its files."""
    import mmseg.datasets  # noqa: F401
    from mmseg.datasets import BaseSegDataset

    def dataset(count: int, **kwargs):
        return BaseSegDataset(data_root=str(real_data / 'camvid'), img_suffix='.png', seg_map_suffix='.png', test_mode=True,
                              data_prefix=dict(img_path='val', seg_map_path='valannot'), pipeline=[],
                              metainfo=dict(classes=[f'c{i}' for i in range(count)]), **kwargs)

    assert not check_dataset(dataset(12), 'val', sample=8)[0].errors
    report, _ = check_dataset(dataset(11), 'val', sample=8)
    assert '[11] of 11 classes' in report.problems['labels that are no class'].places[0][1]
