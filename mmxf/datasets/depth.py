"""Data sets of images with dense depth: a list of files in the official layouts, and a scale."""
from pathlib import Path

from mmengine.dataset import BaseDataset

from mmxf.registry import DATASETS

from .errors import DatasetError


class DepthDataset(BaseDataset):
    """Base of the depth data sets: a split file with an image and its depth map a line, as published with OmniFusion and BTS.

    Further columns (semantic labels, focal lengths) are passed over. Lines whose depth map is called 'None', as KITTI's lists
    have them, are left out. Paths are relative to `data_root`, with or without a slash in front.

    Args:
        ann_file: the split file, relative to `data_root` or a path of its own.
        data_root: folder of the data set.
        image_prefix, depth_prefix: folders in it, where the split file's paths begin there.
        depth_scale: units a metre of the depth maps; None for maps in metres. Default: the class's.
        depth_range: (above, up to) in metres. Default: the class's.
        intrinsics: (fx, fy, cx, cy) in pixels, one camera for all images, for point clouds and `DepthAlongRay`.
        lens: what a camera that is no pinhole adds to them, see `mmxf.structures.lenses.camera_rays`.
        along_ray: whether depth is the distance from the camera, not the coordinate along its optical axis. Default: the class's.
        pipeline, test_mode, indices, lazy_init, serialize_data, max_refetch, metainfo: mmengine's.

    Raises:
        FileNotFoundError: there is no split file; says how to get it.
        DatasetError: a line that does not name two files.
    """

    METAINFO: dict = {}
    DEPTH_SCALE: float | None = None
    DEPTH_RANGE: tuple[float, float] = (0.0, float('inf'))
    PANORAMA = False
    ALONG_RAY = False       # of panoramas it always is
    PREPARE = 'mmxf prepare-data --help'

    def __init__(self, ann_file: str = '', data_root: str = '', *, image_prefix: str = '', depth_prefix: str = '',
                 depth_scale: float | None = -1, depth_range: tuple[float, float] | None = None,
                 intrinsics: tuple[float, float, float, float] | None = None, lens: dict | None = None,
                 along_ray: bool | None = None, **kwargs) -> None:
        self.depth_scale = self.DEPTH_SCALE if depth_scale == -1 else depth_scale
        self.depth_range = tuple(depth_range or self.DEPTH_RANGE)
        self.image_prefix, self.depth_prefix, self.intrinsics, self.lens = image_prefix, depth_prefix, intrinsics, lens
        self.along_ray = self.PANORAMA or (self.ALONG_RAY if along_ray is None else along_ray)
        super().__init__(ann_file=ann_file, data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """dict(img_path, depth_path, depth_scale, depth_range, panorama, along_ray), perhaps intrinsics and lens, a line."""
        root, path = Path(self.data_root or '.'), Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f'there is no split file {path}; {self.PREPARE.format(root=root)} checks the data set')
        common = dict(depth_scale=self.depth_scale, depth_range=self.depth_range, panorama=self.PANORAMA,
                      along_ray=self.along_ray)
        if self.intrinsics is not None:
            common['intrinsics'] = tuple(self.intrinsics)
        if self.lens is not None:
            common['lens'] = dict(self.lens)
        found = []
        for image, depth in read_split(path):
            found.append(dict(common, img_id=len(found), img_path=str(root / self.image_prefix / image),
                              depth_path=str(root / self.depth_prefix / depth)))
        if not found:
            raise DatasetError(f'{path} names no pair of image and depth map')
        return found


def read_split(path) -> list[tuple[str, str]]:
    """(image, depth map) of each line of a split file, relative paths.

    Raises:
        DatasetError: a line with fewer than two names; it is quoted.
    """
    pairs = []
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), 1):
        names = line.split()
        if not names or names[0].startswith('#'):
            continue
        if len(names) < 2:
            raise DatasetError(f'{path}, line {number}: expected an image and a depth map, got {line!r}')
        if names[1] != 'None':
            pairs.append((names[0].lstrip('/'), names[1].lstrip('/')))
    return pairs


@DATASETS.register_module()
class Stanford2D3D(DepthDataset):
    """Stanford2D3D's panoramas: ``area_*/pano/rgb`` and ``area_*/pano/depth``, 512 units a metre (65535 / 128), up to 8 m."""
    DEPTH_SCALE = 65535 / 128
    DEPTH_RANGE = (0.1, 8.0)
    PANORAMA = True
    PREPARE = 'mmxf prepare-data stanford2d3d --root {root}'


@DATASETS.register_module()
class Matterport3D(DepthDataset):
    """Matterport3D's panoramas as UniFuse renders them: ``<scene>/pano_skybox_color``, ``<scene>/pano_depth``, 4000 units a
    metre, up to 10 m."""
    DEPTH_SCALE = 4000.0
    DEPTH_RANGE = (0.1, 10.0)
    PANORAMA = True
    PREPARE = 'mmxf prepare-data matterport3d --root {root}'


@DATASETS.register_module()
class Panorama360D(DepthDataset):
    """360D (Zioulis et al., ECCV 2018; now part of 3D60): panoramas of 256x512, depth as EXR in metres, up to 8 m."""
    DEPTH_RANGE = (0.1, 8.0)
    PANORAMA = True
    PREPARE = 'mmxf prepare-data 360d --root {root}'


@DATASETS.register_module()
class NYUv2Depth(DepthDataset):
    """NYUv2-style trees: perspective images, 16-bit PNGs in millimetres, up to 10 m; split files as BTS's, a focal length
    third."""
    DEPTH_SCALE = 1000.0
    DEPTH_RANGE = (1e-3, 10.0)
    PREPARE = 'mmxf prepare-data nyuv2 --root {root}'


@DATASETS.register_module()
class KITTIDepth(DepthDataset):
    """KITTI-style trees: perspective images, sparse 16-bit PNGs of 256 units a metre, up to 80 m."""
    DEPTH_SCALE = 256.0
    DEPTH_RANGE = (1e-3, 80.0)
    PREPARE = 'mmxf prepare-data kitti-depth --root {root}'


@DATASETS.register_module()
class KITTI360Depth(KITTIDepth):
    """KITTI-360's fisheye cameras with LiDAR projected into them: 256 units a metre, up to 80 m. Pixels beyond 90 degrees have no
    depth along the optical axis, so these maps, as Depth Any Camera prepares them, hold the distance along the ray."""
    ALONG_RAY = True


@DATASETS.register_module()
class ScanNetPPDepth(NYUv2Depth):
    """ScanNet++'s DSLR fisheye images with depth rendered from the mesh: millimetres along the optical axis; indoors."""


@DATASETS.register_module()
class MiniWorldDepth(Stanford2D3D):
    """MiniWorld's panoramas, in Stanford2D3D's format: ``mmxf make-miniworld --depth``."""
    PREPARE = 'mmxf make-miniworld --depth --root {root}'
