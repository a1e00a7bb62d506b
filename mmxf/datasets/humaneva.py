"""HumanEva-I for lifting: VideoPose3D's files of 15 joints, read as they are."""
import numpy as np

from mmxf.registry import DATASETS
from mmxf.structures.cameras import PoseCamera, normalise_screen, world_to_camera

from .pose_lifting import PoseLiftingDataset, PoseVideo
from .pose_metainfo import HUMANEVA_METAINFO
from .safe_npz import NpzError, read_npz

# Published facts, as VideoPose3D carries them: subject -> of cameras C1, C2, C3 the orientation and the position in millimetres.
_CAMERAS = {
    'S1': (
        ((0.424207, -0.4983646, -0.5802981, 0.4847012), (4062.227, 663.2477, 1528.397)),
        ((0.6503354, -0.7481602, -0.0919284, 0.0941766), (844.8131, -3805.2092, 1504.9929)),
        ((0.0664734, -0.0690535, 0.7416416, -0.6639132), (-797.67377, 3916.3174, 1433.6602)),
    ),
    'S2': (
        ((0.4214752, -0.4961493, -0.5838273, 0.4851187), (4112.9121, 626.4929, 1545.2988)),
        ((0.6501393, -0.7476588, -0.0954617, 0.0959808), (923.574, -3877.9243, 1504.5518)),
        ((0.0699353, -0.0712403, 0.7421637, -0.662742), (-781.4915, 3838.8853, 1444.9929)),
    ),
    'S3': (
        ((0.424207, -0.4983646, -0.5802981, 0.4847012), (4062.2271, 663.2477, 1528.397)),
        ((0.6503354, -0.7481602, -0.0919284, 0.0941766), (844.8131, -3805.2092, 1504.9929)),
        ((0.0664734, -0.0690535, 0.7416416, -0.6639132), (-797.6738, 3916.3174, 1433.6602)),
    ),
}
_WIDTH, _HEIGHT = 640, 480


@DATASETS.register_module()
class HumanEvaLifting(PoseLiftingDataset):
    """``data_3d_humaneva15.npz`` and a ``data_2d_humaneva15_*.npz`` of VideoPose3D.

    Subjects are named with their part, ``Train/S1`` or ``Validate/S1``; actions are cut into chunks where motion capture failed.

    Args:
        keypoints: which 2-D file: 'gt', 'detectron_pt_coco' or any other ending.
        Others as in `PoseLiftingDataset`.
    """

    METAINFO = HUMANEVA_METAINFO
    TRAIN_SUBJECTS = ('Train/S1', 'Train/S2', 'Train/S3')
    TEST_SUBJECTS = ('Validate/S1', 'Validate/S2', 'Validate/S3')
    PREPARE = ('data/README.md says how VideoPose3D makes data_3d_humaneva15.npz and data_2d_humaneva15_*.npz; they belong in '
               '{root}')

    def __init__(self, keypoints: str = 'gt', **kwargs) -> None:
        self.keypoints = keypoints
        super().__init__(**kwargs)

    def load_videos(self) -> list[PoseVideo]:
        """All videos of the subjects and actions that were asked for."""
        files = {key: self.require(name) for key, name in (
            ('positions_3d', 'data_3d_humaneva15.npz'), ('positions_2d', f'data_2d_humaneva15_{self.keypoints}.npz'))}
        positions, points = (read_npz(path, [key])[key] for key, path in files.items())
        videos = []
        for subject in self.subjects:
            if subject not in positions or subject not in points:
                raise NpzError(f'{files["positions_3d"]} has the subjects {", ".join(positions)}, '
                               f'{files["positions_2d"]} {", ".join(points)}; {subject} must be in both')
            for action, world in positions[subject].items():
                if not self.keeps(action):
                    continue
                if action not in points[subject]:
                    raise NpzError(f'{files["positions_2d"]}: subject {subject} has no keypoints of {action!r}')
                for i, (camera, seen) in enumerate(zip(cameras_of(subject), points[subject][action])):
                    length = len(world)
                    if len(seen) < length:
                        raise NpzError(f'{files["positions_2d"]}: subject {subject}, {action}, camera C{i + 1}: {len(seen)} '
                                       f'frames of keypoints for {length} of positions')
                    videos.append(PoseVideo(
                        subject, action, camera.name,
                        normalise_screen(np.asarray(seen)[:length, :, :2], _WIDTH, _HEIGHT),
                        world_to_camera(np.asarray(world), camera.orientation, camera.translation), None, _WIDTH, _HEIGHT,
                        points_file=files['positions_2d'], poses_file=files['positions_3d']))
        return videos


def cameras_of(subject: str) -> list[PoseCamera]:
    """The three cameras of a subject, ``Train/S1`` or ``S1``.

    Raises:
        NpzError: for a subject without published cameras.
    """
    name = subject.split('/')[-1]
    if name not in _CAMERAS:
        raise NpzError(f'HumanEva has cameras of {", ".join(_CAMERAS)}, not of {subject}')
    return [PoseCamera(_WIDTH, _HEIGHT, np.array(orientation, np.float32), np.array(place, np.float32) / 1000,
                       name=f'C{i + 1}') for i, (orientation, place) in enumerate(_CAMERAS[name])]
