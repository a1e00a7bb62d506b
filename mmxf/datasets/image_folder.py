"""Classification data: a folder for each class (ImageNet's official tree), and crops of a detection data set's objects."""
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

from mmxf.registry import DATASETS

from .annotation_file import build_dataset
from .errors import DatasetError

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


@DATASETS.register_module()
class ImageFolder(BaseDataset):
    """Images in one folder a class: ROOT/train/n01440764/*.JPEG. Classes are the folders' names in alphabetical order.

    Args:
        data_root: folder of the data set. data_prefix: dict(img=split), for instance dict(img='train').
        metainfo: dict(classes=...) where only some folders, or another order, are wanted.
        pipeline, test_mode, lazy_init and others: mmengine's.

    Raises:
        FileNotFoundError: no such folder; names what was expected.
        DatasetError: a class without images, or no classes.

    Attributes:
        class_folder: where the folders of the classes are. Before training, names are compared between data sets that have it.
    """
    METAINFO: dict = {}

    def __init__(self, data_root: str = '', data_prefix: dict | None = None, **kwargs) -> None:
        super().__init__(ann_file='', data_root=data_root, data_prefix=dict(data_prefix or dict(img='')), **kwargs)

    def load_data_list(self) -> list[dict]:
        """dict(img_path, gt_label) of each image."""
        root = self.class_folder = Path(self.data_prefix['img'])
        if not root.is_dir():
            raise FileNotFoundError(f'there is no folder {root}: expected {root}/<class>/<image>, as in data/README.md')
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith('.'))
        wanted = self.metainfo.get('classes')
        if wanted is None:
            if not folders:
                raise DatasetError(f'{root} has no folders; expected one a class, {root}/<class>/<image>')
            self._metainfo['classes'] = wanted = tuple(folders)
        absent = [name for name in wanted if name not in folders]
        if absent:
            raise DatasetError(f'{root} has no folder for {len(absent)} of {len(wanted)} classes, {absent[0]!r} among them')
        found, empty = [], []
        for label, name in enumerate(wanted):
            try:
                paths = sorted(entry.path for entry in os.scandir(root / name)
                               if entry.name.lower().endswith(IMAGE_SUFFIXES))
            except OSError as error:
                raise DatasetError(f'the class {name!r} cannot be read: {error}') from error
            empty += [] if paths else [name]
            found += [dict(img_path=path, gt_label=label) for path in paths]
        if empty:
            raise DatasetError(f'{len(empty)} of {len(wanted)} classes in {root} have no image ({", ".join(IMAGE_SUFFIXES)}'
                               f'): {", ".join(empty[:10])}. Add images, remove the folders, or name the classes you want in '
                               'metainfo')
        return found


@DATASETS.register_module()
class ObjectCrops(BaseDataset):
    """The objects of a detection data set as images to classify: each box with a margin, labelled by its class.

    Args:
        dataset: config of a detection data set of mmdet's kind (its `instances` hold `bbox` and `bbox_label`).
        margin: what is added on each side, as a share of the box's longer side.
        min_size: boxes with a shorter side in pixels are left out; so are ignored and crowd boxes.
        pipeline: begins with `LoadImageFromFile` and `CropToBox`.
        test_mode, max_refetch: mmengine's.

    Raises:
        DatasetError: when no object is left.
    """

    def __init__(self, dataset: dict, *, margin: float = 0.1, min_size: float = 8, pipeline: Sequence[dict] = (),
                 test_mode: bool = False, max_refetch: int = 1000) -> None:
        self.inner = build_dataset(dict(dataset, pipeline=[]))
        self.margin, self.min_size = margin, min_size
        super().__init__(ann_file='', metainfo=dict(self.inner.metainfo), serialize_data=False, pipeline=list(pipeline),
                         test_mode=test_mode, max_refetch=max_refetch)

    def load_data_list(self) -> list[dict]:
        """dict(img_path, crop_box (x1, y1, x2, y2), gt_label) of each object."""
        found, passed = [], 0
        for index in range(len(self.inner)):
            info = self.inner.get_data_info(index)
            for number, instance in enumerate(info['instances']):
                x1, y1, x2, y2 = instance['bbox']
                if instance.get('ignore_flag') or min(x2 - x1, y2 - y1) < self.min_size:
                    passed += 1
                    continue
                more = self.margin * max(x2 - x1, y2 - y1)
                found.append(dict(img_path=info['img_path'], img_id=f'{info["img_id"]}_{number}',
                                  crop_box=(x1 - more, y1 - more, x2 + more, y2 + more), gt_label=instance['bbox_label']))
        if not found:
            raise DatasetError(f'{type(self.inner).__name__} {self.inner.ann_file!r} has no object of at least {self.min_size} '
                               f'pixels ({passed} are smaller, ignored or crowds)')
        return found
