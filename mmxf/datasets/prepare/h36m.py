"""Human3.6M for lifting: nothing is derived, the files are VideoPose3D's; here they are checked."""
from pathlib import Path

from mmxf.datasets.human36m import Human36mLifting
from mmxf.datasets.safe_npz import NpzError, read_npz

from .report import Progress, Report, silent

SPLITS = {'train': Human36mLifting.TRAIN_SUBJECTS, 'val': Human36mLifting.TEST_SUBJECTS}
_HOW = ('Human3.6M may not be passed on: get it from http://vision.imar.ro/human3.6m and follow DATASETS.md of '
        'https://github.com/facebookresearch/VideoPose3D, which writes the file; then put it into {root}/')
# ending -> who needs it
_KEYPOINTS = {'gt': 'true 2-D joints, configs *_gt', 'cpn_ft_h36m_dbb': '2-D joints of CPN, configs *_cpn'}


def prepare(root: Path, splits: tuple[str, ...] = ('train', 'val'), workers: int = 1, check_only: bool = False,
            progress: Progress = silent) -> Report:
    """Checks ``data_3d_h36m.npz`` and the two files of 2-D joints.

    Args:
        root: folder of the files.
        splits: of 'train' (S1, S5, S6, S7, S8) and 'val' (S9, S11).
        workers, check_only, progress: unused; nothing is made.
    """
    report = Report()
    subjects = [subject for split in splits for subject in SPLITS[split]]
    positions = _check(report, root / 'data_3d_h36m.npz', 'positions_3d', subjects, '3-D joints', root)
    for ending, use in _KEYPOINTS.items():
        points = _check(report, root / f'data_2d_h36m_{ending}.npz', 'positions_2d', subjects, use, root)
        for subject in subjects if positions and points else ():
            absent = sorted(set(positions.get(subject, ())) - set(points.get(subject, ())))
            if absent:
                report.notes.append(f'data_2d_h36m_{ending}.npz: subject {subject} lacks {len(absent)} actions that have 3-D '
                                    f'joints, the first {absent[0]!r}')
    return report


def _check(report: Report, path: Path, key: str, subjects: list[str], what: str, root: Path) -> dict | None:
    if not path.is_file():
        report.missing.append(f'{path} ({what}): {_HOW.format(root=root)}')
        return None
    try:
        content = read_npz(path, [key])[key]
    except NpzError as error:
        report.missing.append(str(error))
        return None
    absent = [subject for subject in subjects if not isinstance(content, dict) or subject not in content]
    if absent:
        report.missing.append(f'{path}: no {", ".join(absent)}; {_HOW.format(root=root)}')
        return None
    count = sum(len(content[subject]) for subject in subjects)
    report.ready.append(f'{path}: {len(subjects)} subjects, {count} actions ({what})')
    return content
