"""Human3.6M for lifting: VideoPose3D's files, read as they are."""
import json
from pathlib import Path

import numpy as np

from mmxf.registry import DATASETS
from mmxf.structures.cameras import PoseCamera, normalise_screen, world_to_camera

from .human36m_cameras import human36m_cameras
from .pose_lifting import PoseLiftingDataset, PoseVideo
from .pose_metainfo import COCO_17_METAINFO, H36M_METAINFO, H36M_OF_32
from .safe_npz import NpzError, read_npz


@DATASETS.register_module()
class Human36mLifting(PoseLiftingDataset):
    """``data_3d_h36m.npz`` and a ``data_2d_h36m_*.npz`` of VideoPose3D's layout.

    The first holds world positions (T, 32 or 17, 3) in metres by subject and action, the second 2-D keypoints (T', 17, 2) in
    pixels by subject, action and camera; where a video has more keypoints than positions the rest is dropped, as officially.

    Args:
        keypoints: which 2-D file: 'gt', 'cpn_ft_h36m_dbb', or any other ending.
        camera_file: JSON beside the files, for other data of this layout: subject -> list of cameras, each with ``width``,
            ``height``, ``orientation`` (w, x, y, z), ``translation`` (metres), and perhaps ``focal``, ``center``, ``radial``,
            ``tangential`` (pixels). None: Human3.6M's published cameras.
        Others as in `PoseLiftingDataset`.
    """

    METAINFO = H36M_METAINFO
    TRAIN_SUBJECTS = ('S1', 'S5', 'S6', 'S7', 'S8')
    TEST_SUBJECTS = ('S9', 'S11')
    LAYOUT = 'h36m'     # in the names of the files
    PREPARE = 'mmxf prepare-data h36m --root {root}'

    def __init__(self, keypoints: str = 'cpn_ft_h36m_dbb', camera_file: str | None = None, **kwargs) -> None:
        self.keypoints, self.camera_file = keypoints, camera_file
        super().__init__(**kwargs)

    def load_videos(self) -> list[PoseVideo]:
        """All videos of the subjects and actions that were asked for."""
        root = Path(self.data_root or '.')
        path_3d = self.require(f'data_3d_{self.LAYOUT}.npz')
        path_2d = self.require(f'data_2d_{self.LAYOUT}_{self.keypoints}.npz')
        cameras = read_cameras(root / self.camera_file) if self.camera_file else human36m_cameras()
        positions = read_npz(path_3d, ['positions_3d'])['positions_3d']
        points = read_npz(path_2d, ['positions_2d'])['positions_2d']
        for path, content in ((path_3d, positions), (path_2d, points)):
            if not isinstance(content, dict):
                raise NpzError(f'{path}: expected a dictionary of subjects as VideoPose3D writes it, got a '
                               f'{type(content).__name__}')
        videos = []
        for subject in self.subjects:
            for path, known in ((path_3d, positions), (path_2d, points)):
                if subject not in known:
                    raise NpzError(f'{path} has the subjects {", ".join(known)}, but not {subject}')
            for action in points[subject]:
                if self.keeps(action):
                    videos += self._views(subject, action, positions[subject], points[subject][action], cameras, path_2d, path_3d)
        return videos

    def _views(self, subject: str, action: str, positions: dict, points: list, cameras: dict, path: Path,
               path_3d: Path) -> list[PoseVideo]:
        if action not in positions:
            raise NpzError(f'{path}: subject {subject} has keypoints of {action!r}, but data_3d_{self.LAYOUT}.npz has no '
                           'positions of it')
        world = np.asarray(positions[action])
        world = world[:, list(H36M_OF_32)] if world.shape[1] == 32 else world
        if subject not in cameras or len(cameras[subject]) != len(points):
            raise NpzError(f'{path}: subject {subject}, {action}: keypoints of {len(points)} cameras, but '
                           f'{len(cameras.get(subject, ()))} cameras are known: give camera_file')
        views = []
        for camera, seen in zip(cameras[subject], points):
            if len(seen) < len(world):
                raise NpzError(f'{path}: subject {subject}, {action}, camera {camera.name}: {len(seen)} frames of keypoints '
                               f'for {len(world)} of positions')
            pixels = np.asarray(seen)[:len(world), :, :2]
            views.append(PoseVideo(subject, action, camera.name, normalise_screen(pixels, camera.width, camera.height),
                                   world_to_camera(world, camera.orientation, camera.translation), None,
                                   camera.width, camera.height, camera.intrinsics, points_file=path, poses_file=path_3d))
        return views


@DATASETS.register_module()
class CocoLifting(Human36mLifting):
    """COCO's 17 joints, ``data_3d_coco.npz`` and ``data_2d_coco_*.npz`` of the same layout, as MiniWorld writes them; with
    ``camera_file``, as there are no published cameras."""

    METAINFO = COCO_17_METAINFO
    LAYOUT = 'coco'
    PREPARE = 'mmxf make-miniworld --people --root {root}'


def read_cameras(path: Path) -> dict[str, list[PoseCamera]]:
    """Cameras of a JSON file, see `Human36mLifting`.

    Raises:
        NpzError: naming the file and the camera that lacks something.
    """
    try:
        content = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise NpzError(f'{path}: cameras cannot be read ({error})') from None
    cameras: dict[str, list[PoseCamera]] = {}
    for subject, views in content.items():
        for i, view in enumerate(views):
            try:
                arrays = {key: np.array(view[key], np.float32) for key in ('orientation', 'translation')}
                arrays.update({key: np.array(view[key], np.float32) for key in ('focal', 'center', 'radial', 'tangential')
                               if key in view})
                cameras.setdefault(subject, []).append(
                    PoseCamera(int(view['width']), int(view['height']), name=str(view.get('name', i)), **arrays))
            except (KeyError, TypeError, ValueError) as error:
                raise NpzError(f'{path}: camera {i} of subject {subject} needs width, height, orientation and translation '
                               f'({error})') from None
    return cameras
