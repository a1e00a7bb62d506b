"""Reading of the COCO panoptic format: classes by name, paths, filters, messages on bad input."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from mmxf.datasets import ADE20KPanoptic, CityscapesPanoptic, CocoPanoptic, PanopticDataset, read_metainfo


def edit(args: dict, change) -> None:
    path = Path(args['data_root']) / args['ann_file']
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def test_categories_become_labels_by_name(two_images):
    info = PanopticDataset(**two_images).get_data_info(0)
    assert info['segments_info'] == [
        {'id': 70000, 'label': 0, 'isthing': True, 'iscrowd': False},
        {'id': 300, 'label': 2, 'isthing': False, 'iscrowd': False},
    ]
    root = two_images['data_root']
    assert Path(info['img_path']) == Path(root, 'img/a.png')
    assert Path(info['seg_map_path']) == Path(root, 'seg/a.png')
    assert (info['img_id'], info['height'], info['width']) == (1, 4, 6)


def test_categories_without_names_go_by_rank_of_their_ids(two_images):
    edit(two_images, lambda raw: raw.update(categories=[{'id': 3}, {'id': 5}, {'id': 17}]))
    two_images['metainfo'] = {'classes': ('dog', 'grass', 'cat'), 'stuff_classes': ['grass']}
    info = PanopticDataset(**two_images).get_data_info(0)
    assert [(s['label'], s['isthing']) for s in info['segments_info']] == [(2, True), (1, False)]


def test_a_class_missing_in_either_place_is_named_with_both_lists(two_images):
    two_images['metainfo'] = {'classes': ('cat', 'wolf', 'grass'), 'thing_classes': ('cat', 'wolf')}
    with pytest.raises(ValueError) as e:
        PanopticDataset(**two_images)
    text = str(e.value)
    assert "Only in metainfo: ['wolf']" in text and "only in the file: ['dog']" in text
    assert "['grass', 'cat', 'dog']" in text and "['cat', 'wolf', 'grass']" in text and 'ann.json' in text


def test_things_must_agree(two_images):
    two_images['metainfo']['thing_classes'] = ('cat',)
    with pytest.raises(
        ValueError, match=r"disagree on which classes are things: \['dog'\] \(stuff in metainfo\)"
    ):
        PanopticDataset(**two_images)


@pytest.mark.parametrize(
    'metainfo, message',
    [
        (None, "metainfo has no 'classes'"),
        ({'classes': ('a', 'b')}, "neither 'thing_classes' nor 'stuff_classes'"),
        ({'classes': ('a', 'a'), 'thing_classes': ()}, r"twice: \['a'\]"),
        ({'classes': ('a', 'b'), 'thing_classes': ('c',)}, r"no class: \['c'\]"),
        ({'classes': ('a', 'b'), 'thing_classes': ('a',), 'stuff_classes': ('a', 'b')}, r"in both: \['a'\]"),
        ({'classes': ('a', 'b'), 'thing_classes': (), 'palette': [(0, 0, 0)]}, '1 colours .* for 2 classes'),
    ],
)
def test_bad_metainfo(metainfo, message):
    with pytest.raises(ValueError, match=message):
        PanopticDataset(ann_file='x.json', metainfo=metainfo, lazy_init=True)


def test_metainfo_replaces_that_of_the_class_as_a_whole():
    meta = CocoPanoptic(
        ann_file='x', lazy_init=True, metainfo={'classes': ['cat', 'sky'], 'thing_classes': ['cat']}
    ).metainfo
    assert (
        meta['classes'] == ('cat', 'sky') and meta['stuff_classes'] == ('sky',) and len(meta['palette']) == 2
    )
    assert len(CocoPanoptic.METAINFO['classes']) == 133


def test_filter_drops_images_with_crowds_only_in_training(two_images):
    kept = PanopticDataset(filter_cfg={'filter_empty_gt': True}, **two_images)
    assert [kept.get_data_info(i)['img_id'] for i in range(len(kept))] == [1]
    assert len(PanopticDataset(filter_cfg={'filter_empty_gt': True}, test_mode=True, **two_images)) == 2
    with pytest.raises(ValueError, match='leaves none of the 2 images'):
        PanopticDataset(filter_cfg={'min_size': 5}, **two_images)


def test_missing_files_are_named_with_the_command_that_makes_them(tmp_path, two_images):
    with pytest.raises(
        FileNotFoundError,
        match=r'no annotation file .*no\.json .*mmxf prepare-data coco-panoptic '
        rf'--root {tmp_path}',
    ):
        CocoPanoptic(ann_file='no.json', data_root=str(tmp_path))
    two_images['data_prefix'] = {'img': 'img', 'seg': 'gone'}
    with pytest.raises(FileNotFoundError, match='no folder of panoptic PNGs .*gone'):
        PanopticDataset(**two_images)
    two_images['data_prefix'] = {'img': 'nowhere', 'seg': 'seg'}
    with pytest.raises(FileNotFoundError, match='no image folder .*nowhere'):
        PanopticDataset(**two_images)


def test_other_files_are_told_from_panoptic_ones(two_images):
    edit(two_images, lambda raw: raw['annotations'][0].pop('segments_info'))
    with pytest.raises(ValueError, match="ann.json is no COCO panoptic annotation file: .*'segments_info'"):
        PanopticDataset(**two_images)
    edit(two_images, lambda raw: raw.pop('annotations'))
    with pytest.raises(ValueError, match=r"no \['annotations'\]"):
        PanopticDataset(**two_images)
    info = PanopticDataset(test_mode=True, **two_images).get_data_info(0)  # a test split has none
    assert info['seg_map_path'] is None and 'segments_info' not in info
    Path(two_images['data_root'], 'ann.json').write_text('{"images": [')
    with pytest.raises(ValueError, match='ann.json is no valid JSON'):
        PanopticDataset(**two_images)


def test_annotations_of_unlisted_images_and_categories(two_images):
    edit(two_images, lambda raw: raw['images'].pop(1))
    with pytest.raises(ValueError, match='1 annotations belong to images .* image_id 2'):
        PanopticDataset(**two_images)
    edit(two_images, lambda raw: raw['annotations'][0]['segments_info'][0].update(category_id=99))
    with pytest.raises(ValueError, match=r'image 1 \(a.png\), segment 70000: category_id 99 is not among'):
        PanopticDataset(**two_images)


def test_another_image_is_drawn_when_the_pipeline_gives_none(two_images):
    seen = []

    def only_second(info):
        seen.append(info['img_id'])
        return info if info['img_id'] == 2 else None

    dataset = PanopticDataset(pipeline=[only_second], **two_images)
    np.random.seed(3)
    assert dataset[0]['img_id'] == 2 and seen[0] == 1


def test_transforms_that_mix_get_the_dicts_they_ask_for(two_images):
    class Mix:
        def get_indices(self, dataset):
            return [1, 0, 1]

        def __call__(self, info):
            return [m['img_id'] for m in info['mix_infos']]

    dataset = pickle.loads(pickle.dumps(PanopticDataset(**two_images)))  # as to a worker process
    dataset.pipeline.transforms = [Mix()]
    assert dataset[0] == [2, 1, 2]


def test_cityscapes_names_of_images(tmp_path, panoptic_writer):
    from cityscapesscripts.helpers.labels import labels

    evaluated = [label for label in labels if not label.ignoreInEval]
    categories = [{'id': c.id, 'name': c.name, 'isthing': int(c.hasInstances)} for c in evaluated]
    args = panoptic_writer(
        tmp_path,
        [
            {
                'name': 'bonn_000001_000019_gtFine_leftImg8bit',
                'img': np.zeros((2, 2, 3), np.uint8),
                'ids': np.full((2, 2), 26001),
                'segments': [{'id': 26001, 'category_id': 26, 'iscrowd': 0}],
            }
        ],
        categories,
    )
    info = CityscapesPanoptic(**args).get_data_info(0)
    assert info['img_path'].endswith('/img/bonn/bonn_000001_000019_leftImg8bit.png')
    assert info['segments_info'] == [{'id': 26001, 'label': 13, 'isthing': True, 'iscrowd': False}]
    # The order of our classes is that of the trainIds.
    assert CityscapesPanoptic.METAINFO['classes'] == tuple(
        c.name for c in sorted(evaluated, key=lambda c: c.trainId)
    )
    assert CityscapesPanoptic.METAINFO['thing_classes'] == tuple(c.name for c in evaluated if c.hasInstances)
    assert CityscapesPanoptic.METAINFO['palette'] == [c.color for c in evaluated]


def test_class_tables():
    from mmdet.datasets.coco_panoptic import CocoPanopticDataset

    for key in ('classes', 'thing_classes', 'stuff_classes', 'palette'):
        assert list(CocoPanoptic.METAINFO[key]) == list(CocoPanopticDataset.METAINFO[key]), key
    assert [len(ADE20KPanoptic.METAINFO[k]) for k in ('classes', 'thing_classes', 'stuff_classes')] == [
        150,
        100,
        50,
    ]


def test_read_metainfo_prints_what_a_new_data_set_needs(two_images):
    meta = read_metainfo(Path(two_images['data_root']) / 'ann.json')
    assert meta['classes'] == ('cat', 'dog', 'grass') and meta['stuff_classes'] == ('grass',)
    PanopticDataset(**{**two_images, 'metainfo': meta})
