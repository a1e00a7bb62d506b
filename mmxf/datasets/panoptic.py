"""Panoptic datasets in the COCO panoptic format: one JSON for the images and segments, one PNG of segment ids
an image.

The class index ("label") of a category is the position of its NAME in ``metainfo['classes']``, so the ids in
an annotation file are free: the official COCO ids, Cityscapes' ids or trainIds, anything.

A data set of your own needs no class: ``type='PanopticDataset'`` with its ``metainfo`` and paths in the
config.
"""

import os.path as osp
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

from mmxf.registry import DATASETS, TRANSFORMS

from .ade20k_classes import ADE20K_METAINFO
from .annotation_file import describe, examine, read_annotation_file
from .cityscapes_classes import CITYSCAPES_METAINFO
from .coco_classes import COCO_PANOPTIC_METAINFO
from .errors import DatasetError
from .panoptic_classes import check_metainfo, map_categories


@DATASETS.register_module()
class PanopticDataset(BaseDataset):
    """Images with panoptic segments, from a COCO panoptic JSON and a folder of PNGs.

    ``dataset[i]`` is what the pipeline makes of a dict with ``img_id``, ``img_path``, ``seg_map_path`` (None
    without ``data_prefix['seg']``), ``height``, ``width`` and ``segments_info``: a list of dicts ``id``
    (value in the PNG), ``label`` (class index), ``isthing``, ``iscrowd``. Where a transform of the pipeline
    has a method ``get_indices(dataset)``, as ``PanopticCopyPaste`` has, the dicts of the images it asks for
    come along as ``mix_infos``; a pipeline that returns None has another image drawn.

    Args:
        ann_file: COCO panoptic JSON; categories are matched to ``metainfo`` by name.
        metainfo: ``classes`` (names; the order gives the class indices), ``thing_classes``, ``stuff_classes``
            (the rest when absent), ``palette`` (RGB, made when absent). Replaces the class's METAINFO as a
            whole.
        data_root: Folder that the other paths are relative to.
        data_prefix: ``img``: folder of images, ``seg``: folder of PNGs.
        filter_cfg: ``filter_empty_gt``: leave out images without any segment that is no crowd; ``min_size``:
            and those whose shorter side is below this, in pixels. Not applied in ``test_mode``.
        pipeline: Transforms.
        **kwargs: ``indices``, ``serialize_data``, ``test_mode``, ``lazy_init``, ``max_refetch`` of
            ``mmengine.dataset.BaseDataset``.

    Raises:
        FileNotFoundError: the annotation file or a folder is absent; says how to get it.
        DatasetError: classes of the file and of ``metainfo`` differ; names both lists. Or entries of the file cannot
            be used; names them.
    """

    METAINFO: dict = {}
    # What makes the official tree of this data set.
    PREPARE = 'mmxf prepare-data --help'

    def __init__(
        self,
        ann_file: str = '',
        metainfo: Mapping | None = None,
        data_root: str | None = '',
        data_prefix: Mapping | None = None,
        filter_cfg: Mapping | None = None,
        pipeline: Sequence = (),
        **kwargs,
    ):
        if metainfo and 'classes' in metainfo:
            # One data set's things, stuff and colours say nothing about another's classes.
            metainfo = {**dict.fromkeys(self.METAINFO), **metainfo}
        data_prefix = {k: v for k, v in dict(data_prefix or dict(img='')).items() if v is not None}
        pipeline = [TRANSFORMS.build(t) if isinstance(t, Mapping) else t for t in pipeline]
        super().__init__(
            ann_file=ann_file,
            metainfo=metainfo,
            data_root=data_root or '',
            data_prefix=data_prefix,
            filter_cfg=dict(filter_cfg) if filter_cfg else None,
            pipeline=pipeline,
            **kwargs,
        )

    @classmethod
    def _load_metainfo(cls, metainfo: Mapping | None = None) -> dict:
        return check_metainfo(super()._load_metainfo(metainfo), owner=cls.__name__)

    # Reading

    def load_data_list(self) -> list[dict]:
        """One dict an image, with ``segments`` as tuples (id, label, iscrowd)."""
        raw = self._read_json()
        try:
            return self._infos(raw)
        except (KeyError, TypeError, AttributeError) as error:
            found, _ = examine(raw)
            if not found:
                raise
            raise DatasetError(describe(self.ann_file, found)) from error

    def _infos(self, raw: dict) -> list[dict]:
        cat2label = map_categories(raw['categories'], self.metainfo, self.ann_file)
        segments = {
            ann['image_id']: (
                ann['file_name'],
                [
                    (s['id'], cat2label[s['category_id']], bool(s.get('iscrowd', 0)))
                    for s in ann['segments_info']
                ],
            )
            for ann in raw.get('annotations', ())
        }
        for key in self.data_prefix:
            self._require(
                self.data_prefix[key], dict(img='image folder', seg='folder of panoptic PNGs').get(key, key)
            )
        seg_dir = self.data_prefix.get('seg')
        infos = []
        for image in raw['images']:
            png, of_image = segments.pop(image['id'], (None, None))
            info = dict(
                img_id=image['id'],
                img_path=osp.join(self.data_prefix['img'], self.image_file(image)),
                height=image['height'],
                width=image['width'],
                seg_map_path=osp.join(seg_dir, png) if png and seg_dir else None,
            )
            if of_image is not None:
                info['segments'] = of_image
            infos.append(info)
        if segments:
            raise DatasetError(
                f'{self.ann_file}: {len(segments)} annotations belong to images that are not in its list '
                f'of images, the first to image_id {next(iter(segments))!r}'
            )
        if not infos:
            raise DatasetError(f'{self.ann_file} lists no images')
        return infos

    def image_file(self, image: dict) -> str:
        """Path of an image below ``data_prefix['img']``, from its entry in the JSON."""
        return image['file_name']

    def filter_data(self) -> list[dict]:
        """Images that are big enough and have something to learn from, as ``filter_cfg`` says."""
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        min_size = self.filter_cfg.get('min_size', 0)
        drop_empty = self.filter_cfg.get('filter_empty_gt', False)
        kept = [
            info
            for info in self.data_list
            if min(info['width'], info['height']) >= min_size
            and not (drop_empty and all(crowd for _, _, crowd in info.get('segments', ())))
        ]
        if not kept:
            raise DatasetError(
                f'filter_cfg={self.filter_cfg} leaves none of the {len(self.data_list)} images of '
                f'{self.ann_file}'
            )
        return kept

    def _read_json(self) -> dict:
        if not self.ann_file:
            raise DatasetError(f'{type(self).__name__} needs ann_file, a COCO panoptic JSON')
        self._require(self.ann_file, 'annotation file')
        raw = read_annotation_file(self.ann_file)
        if not isinstance(raw, dict):
            raise DatasetError(describe(self.ann_file, examine(raw)[0]))
        missing = {'images', 'categories'} - set(raw) | (
            {'annotations'} - set(raw) if not self.test_mode else set()
        )
        if missing:
            raise DatasetError(f'{self.ann_file} is no COCO panoptic annotation file: no {sorted(missing)}')
        if raw.get('annotations') and 'segments_info' not in raw['annotations'][0]:
            raise DatasetError(
                f'{self.ann_file} is no COCO panoptic annotation file: its annotations have no '
                "'segments_info' (is it an instances_*.json?)"
            )
        return raw

    def _require(self, path: str, what: str) -> None:
        if not Path(path).exists():
            raise FileNotFoundError(
                f'{type(self).__name__}: no {what} {path} (seen from {Path.cwd()}). To check the '
                f'tree and make what is missing: {self.PREPARE.format(root=self._root())}'
            )

    def _root(self) -> str:
        return self.data_root or 'PATH_OF_THE_DATA_SET'

    # Samples

    def get_data_info(self, idx: int) -> dict:
        """The dict of one image, as the pipeline gets it."""
        info = super().get_data_info(idx)
        segments = info.pop('segments', None)
        if segments is not None:
            things = self._things
            info['segments_info'] = [
                dict(id=i, label=label, isthing=things[label], iscrowd=crowd) for i, label, crowd in segments
            ]
        return info

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on one image, with the dicts of other images for the transforms that mix."""
        info = self.get_data_info(idx)
        for transform in self.pipeline.transforms:
            if hasattr(transform, 'get_indices'):
                info['mix_infos'] = [self.get_data_info(i) for i in transform.get_indices(self)]
        return self.pipeline(info)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the segments of an image (for ``ClassBalancedDataset``)."""
        return [s['label'] for s in self.get_data_info(idx).get('segments_info', ())]

    @property
    def _things(self) -> list[bool]:
        """Of each class, whether it is a thing."""
        if not hasattr(self, '_isthing'):
            things = set(self._metainfo['thing_classes'])
            self._isthing = [name in things for name in self._metainfo['classes']]
        return self._isthing


@DATASETS.register_module()
class CocoPanoptic(PanopticDataset):
    """COCO panoptic: ``annotations/panoptic_{train,val}2017.json`` and PNGs, ``{train,val}2017/`` images."""

    METAINFO = COCO_PANOPTIC_METAINFO
    PREPARE = 'mmxf prepare-data coco-panoptic --root {root}'


@DATASETS.register_module()
class ADE20KPanoptic(PanopticDataset):
    """ADE20K (SceneParsing 150): ``ade20k_panoptic_{train,val}.json`` and PNGs,
    ``images/{training,validation}/``."""

    METAINFO = ADE20K_METAINFO
    PREPARE = 'mmxf prepare-data ade20k --root {root}'


@DATASETS.register_module()
class CityscapesPanoptic(PanopticDataset):
    """Cityscapes: ``gtFine/cityscapes_panoptic_{train,val}[_trainId]`` of cityscapesscripts, ``leftImg8bit/``
    images.

    Its JSON names images ``CITY_SEQ_FRAME_gtFine_leftImg8bit.png``, without the folder of the city; the files
    are ``CITY/CITY_SEQ_FRAME_leftImg8bit.png``.
    """

    METAINFO = CITYSCAPES_METAINFO
    PREPARE = 'mmxf prepare-data cityscapes --root {root}'

    def image_file(self, image: dict) -> str:
        name = image['file_name'].replace('_gtFine_leftImg8bit', '_leftImg8bit')
        return name if '/' in name else f'{name.split("_")[0]}/{name}'
