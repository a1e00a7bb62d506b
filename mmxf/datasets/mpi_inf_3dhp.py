"""MPI-INF-3DHP for lifting: P-STMO's files, read as they are."""
import numpy as np

from mmxf.registry import DATASETS
from mmxf.structures.cameras import normalise_screen

from .pose_lifting import PoseLiftingDataset, PoseVideo
from .pose_metainfo import MPI_INF_3DHP_METAINFO
from .safe_npz import NpzError, read_npz

# Sequences of the test set that were filmed outdoors, with another camera.
_WIDE = ('TS5', 'TS6')


@DATASETS.register_module()
class MpiInf3dhpLifting(PoseLiftingDataset):
    """``data_train_3dhp.npz`` and ``data_test_3dhp.npz`` of P-STMO: 17 joints, the 'universal' 3-D annotation, millimetres.

    Evaluation counts the frames that the test set marks valid.

    Args:
        Those of `PoseLiftingDataset`; subjects are ``S1`` to ``S8`` in training and ``TS1`` to ``TS6`` in test.
    """

    METAINFO = MPI_INF_3DHP_METAINFO
    TRAIN_SUBJECTS = tuple(f'S{i}' for i in range(1, 9))
    TEST_SUBJECTS = tuple(f'TS{i}' for i in range(1, 7))
    PREPARE = ("data/README.md says how P-STMO makes data_train_3dhp.npz and data_test_3dhp.npz; they belong in {root}")

    def load_videos(self) -> list[PoseVideo]:
        """All videos of the subjects that were asked for."""
        path = self.require('data_test_3dhp.npz' if self.test_mode else 'data_train_3dhp.npz')
        data = read_npz(path, ['data'])['data']
        videos = []
        for name, content in data.items():
            subject = name.split(' ')[0]
            if subject not in self.subjects:
                continue
            try:
                views = {'0': content} if self.test_mode else content[0]
                for camera, view in views.items():
                    wide = self.test_mode and subject in _WIDE
                    width, height = (1920, 1080) if wide else (2048, 2048)
                    poses = np.asarray(view['data_3d'], np.float32).reshape(-1, len(self.skeleton), 3) / 1000
                    points = np.asarray(view['data_2d'], np.float32).reshape(-1, len(self.skeleton), 2)
                    videos.append(PoseVideo(subject, name.split(' ')[-1], str(camera), normalise_screen(points, width, height),
                                            poses, None, width, height, valid=view['valid'] if self.test_mode else None,
                                            points_file=path, poses_file=path))
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise NpzError(f'{path}: sequence {name} is not as P-STMO writes it ({type(error).__name__}: {error})') from None
        missing = set(self.subjects) - {video.subject for video in videos}
        if missing:
            raise NpzError(f'{path} has the sequences {", ".join(data)}, but none of {", ".join(sorted(missing))}')
        return videos
