"""Data sets for lifting 2-D pose sequences to 3-D: whole videos in memory, windows of them as samples."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

from mmxf.structures.skeleton import SKELETON_KEYS, Skeleton, relative_to_root

from .errors import DatasetError


@dataclass
class PoseVideo:
    """One person seen by one camera.

    Args:
        subject, action, camera: names.
        points: (T, K, 2) normalised image coordinates.
        poses: (T, K, 3) metres in the camera's frame, relative to the root; None where unknown.
        root: (T, 1, 3) metres in the camera's frame.
        width, height: of the image, pixels.
        intrinsics: (9,), see `mmxf.structures.cameras.PoseCamera`; None where unknown.
        valid: (T,) bool, frames that count in evaluation; None: all.
        points_file, poses_file: where they come from, for messages.
    """

    subject: str
    action: str
    camera: str
    points: np.ndarray
    poses: np.ndarray | None
    root: np.ndarray | None
    width: int
    height: int
    intrinsics: np.ndarray | None = None
    valid: np.ndarray | None = None
    points_file: Path | str = ''
    poses_file: Path | str = ''


class PoseLiftingDataset(BaseDataset):
    """Base of the lifting data sets; a subclass reads its files in `load_videos`.

    In training a sample is one window of ``num_frames``; windows do not overlap, and those that reach beyond the video's ends,
    by half of what is missing on each side, repeat its first and last frame. In ``test_mode`` a sample is a whole video.

    Args:
        data_root: folder of the files.
        subjects: those that are read; None: the class's for the mode.
        actions: beginnings of the names of actions that are kept; None: all.
        num_frames: of a window.
        mirror: in training, every window comes a second time, mirrored (by the transform MirrorPose).
        stride: every how many frames of the videos are used.
        metainfo: replaces keys of the class's METAINFO, as for a skeleton of your own.
        pipeline, test_mode, indices, lazy_init, serialize_data, max_refetch: mmengine's.

    Raises:
        FileNotFoundError, ValueError: files are missing or do not fit one another; the message names them.
    """

    METAINFO: dict = {}
    TRAIN_SUBJECTS: tuple[str, ...] = ()
    TEST_SUBJECTS: tuple[str, ...] = ()
    # What tells a user what belongs where.
    PREPARE = 'mmxf prepare-data --help'

    def __init__(self, data_root: str = '', subjects: Sequence[str] | None = None, actions: Sequence[str] | None = None,
                 num_frames: int = 243, mirror: bool = False, stride: int = 1, metainfo: Mapping | None = None,
                 pipeline: Sequence = (), test_mode: bool = False, **kwargs) -> None:
        if num_frames < 1 or stride < 1:
            raise DatasetError(f'num_frames and stride must be at least 1, got {num_frames} and {stride}')
        self.subjects = tuple(subjects) if subjects is not None else self.TEST_SUBJECTS if test_mode else self.TRAIN_SUBJECTS
        self.actions = None if actions is None else tuple(actions)
        self.num_frames, self.mirror, self.stride = num_frames, mirror, stride
        self.videos: list[PoseVideo] = []
        super().__init__(ann_file='', data_root=data_root, data_prefix={}, metainfo=metainfo, pipeline=list(pipeline),
                         test_mode=test_mode, **kwargs)

    @property
    def skeleton(self) -> Skeleton:
        """Joints and their links, of the metainfo."""
        return Skeleton.from_metainfo(self.metainfo)

    def load_videos(self) -> list[PoseVideo]:
        """Reads the files; poses still in the camera's frame, `root` None, points in pixels or normalised as in `finish`."""
        raise NotImplementedError

    def require(self, name: str) -> Path:
        """Path of a file in `data_root`. Raises FileNotFoundError, which says what to do."""
        path = Path(self.data_root or '.') / name
        if not path.is_file():
            raise FileNotFoundError(f'{type(self).__name__}: no {path} (seen from {Path.cwd()}). What belongs where: '
                                    f'{self.PREPARE.format(root=self.data_root or ".")}')
        return path

    def keeps(self, action: str) -> bool:
        """Whether an action was asked for."""
        return self.actions is None or any(action.startswith(name) for name in self.actions)

    def load_data_list(self) -> list[dict]:
        """One dict a window or video: which video, from where, mirrored or not."""
        self.videos = [self._finish(video) for video in self.load_videos()]
        if not self.videos:
            raise DatasetError(f'{type(self).__name__}: no video of the subjects {", ".join(self.subjects)}'
                               + (f' with an action that begins with {", ".join(self.actions)}' if self.actions else ''))
        if self.test_mode:
            return [dict(video=i, start=0, end=len(v.points), mirrored=False) for i, v in enumerate(self.videos)]
        windows = [dict(video=i, start=start, end=start + self.num_frames, mirrored=False)
                   for i, video in enumerate(self.videos) for start in window_starts(len(video.points), self.num_frames)]
        return windows + [dict(window, mirrored=True) for window in windows] if self.mirror else windows

    def _finish(self, video: PoseVideo) -> PoseVideo:
        """Drops frames by the stride, takes the root off, checks."""
        place = f'{video.subject}, {video.action}, camera {video.camera}'
        name, name_3d = (f'{path or type(self).__name__}: {place}' for path in (video.points_file, video.poses_file))
        joints = len(self.skeleton)
        step = slice(None, None, self.stride)
        video.points = np.ascontiguousarray(video.points[step], np.float32)
        video.valid = None if video.valid is None else np.asarray(video.valid).reshape(-1)[step].astype(bool)
        if video.points.ndim != 3 or video.points.shape[1:] != (joints, 2) or not len(video.points):
            raise DatasetError(f'{name}: 2-D keypoints are {video.points.shape}, expected (frames, {joints}, 2)')
        if not np.isfinite(video.points).all():
            raise DatasetError(f'{name}: 2-D keypoints of frame {int((~np.isfinite(video.points)).any((1, 2)).argmax())} are '
                               'not finite')
        if video.poses is not None:
            poses = np.ascontiguousarray(video.poses[step], np.float32)
            if poses.shape != (len(video.points), joints, 3):
                raise DatasetError(f'{name_3d}: 3-D joints are {poses.shape}, expected {(len(video.points), joints, 3)} as the '
                                   '2-D keypoints have')
            bad = ~np.isfinite(poses).all((1, 2)) & (True if video.valid is None else video.valid)
            if bad.any():
                raise DatasetError(f'{name_3d}: 3-D joints of frame {int(bad.argmax())} are not finite')
            video.poses, video.root = relative_to_root(poses, self.skeleton.root_joints)
            video.root = np.ascontiguousarray(video.root)
        return video

    def get_data_info(self, idx: int) -> dict:
        """The arrays of one window or video."""
        info = super().get_data_info(idx)
        video = self.videos[info['video']]
        frames = np.arange(info['start'], info['end']).clip(0, len(video.points) - 1)
        info.update(keypoints_2d=video.points[frames], subject=video.subject, action=video.action, camera=video.camera,
                    width=video.width, height=video.height, intrinsics=video.intrinsics,
                    mirror_order=self.skeleton.mirror_order(), file_name=f'{video.subject} {video.action} {video.camera}')
        for key, values in (('keypoints_3d', video.poses), ('root', video.root), ('valid', video.valid)):
            info[key] = None if values is None else values[frames]
        return info


def window_starts(length: int, size: int) -> list[int]:
    """First frames of non-overlapping windows that cover a video; what is missing is split between both ends."""
    count = -(-length // size)
    offset = (count * size - length) // 2
    return [i * size - offset for i in range(count)]


def metainfo_skeleton(metainfo: Mapping) -> dict:
    """The part of a metainfo that describes the skeleton: the value of ``'${skeleton}'``."""
    return {key: metainfo[key] for key in SKELETON_KEYS if metainfo.get(key) is not None}
