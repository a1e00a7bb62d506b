"""Errors of lifted poses over whole videos: per action, and the mean over actions, as the papers report them."""
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mmxf.registry import METRICS

from .. import pose_errors as errors

# metric -> (unit, decimals)
UNITS = {'MPJPE': 'mm', 'P-MPJPE': 'mm', 'N-MPJPE': 'mm', 'MPJVE': 'mm', 'PCK': '%', 'AUC': '%',
         'J-Best': 'mm', 'P-Best': 'mm', 'P-Agg': 'mm', 'J-Agg': 'mm'}


@METRICS.register_module()
class PoseLiftingMetric(BaseMetric):
    """MPJPE, P-MPJPE, N-MPJPE, MPJVE in millimetres, PCK and AUC in percent.

    Every sample is one video of one camera, as `PoseLifter` predicts it: ``pred_windows`` (W, F, K, 3) root-relative metres,
    ``window_frames`` (W, F) which frame of the video each is, ``gt_keypoints_3d`` (T, K, 3), perhaps ``gt_valid`` (T,) bool.

    Args:
        measures: of MPJPE, P-MPJPE, N-MPJPE, MPJVE, PCK, AUC; with several hypotheses also J-Best, P-Best, P-Agg, J-Agg
            (D3DP, arXiv:2303.11579): best and aggregated, of joints and of whole poses.
        group: 'action' (first word of the action's name), 'subject', or 'video'.
        average: 'groups': the mean of the groups' numbers, each group weighted alike (Human3.6M); 'frames': over all frames
            (MPI-INF-3DHP).
        pck_joints: joints that PCK and AUC count; None: all.
        count_overlap: frames that two windows share count twice, and what pads a short video counts, as in the official
            evaluation. False: every frame once.
        collect_device, prefix: mmengine's.

    Raises:
        ValueError: for an unknown metric or grouping.
    """

    default_prefix = 'pose'

    def __init__(self, measures: Sequence[str] = ('MPJPE', 'P-MPJPE', 'N-MPJPE', 'MPJVE'), group: str = 'action',
                 average: str = 'groups', pck_joints: Sequence[int] | None = None, count_overlap: bool = True,
                 collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        unknown = set(measures) - set(UNITS)
        if unknown:
            raise ValueError(f'PoseLiftingMetric knows the measures {", ".join(UNITS)}; got {", ".join(sorted(unknown))}')
        if group not in ('action', 'subject', 'video') or average not in ('groups', 'frames'):
            raise ValueError(f"group must be 'action', 'subject' or 'video' and average 'groups' or 'frames'; got {group!r}, "
                             f'{average!r}')
        self.measures, self.group, self.average = tuple(measures), group, average
        self.pck_joints = None if pck_joints is None else list(pck_joints)
        self.count_overlap = count_overlap

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """The mean errors of each video, and of how many frames."""
        for sample in data_samples:
            frames = _array(sample['window_frames'])
            chosen = np.ones(frames.shape, bool) if self.count_overlap else first_seen(frames)
            target = _array(sample['gt_keypoints_3d'])[frames[chosen]]                         # (N, K, 3)
            keep = _array(sample['gt_valid'])[frames[chosen]].astype(bool) if sample.get('gt_valid') is not None else None
            windows = {'pred': _array(sample['pred_windows'])[chosen]}
            video = f'{sample["subject"]} {sample["action"]} camera {sample["camera"]}'
            try:
                errors.check_poses(windows['pred'], target)
            except ValueError as error:
                raise ValueError(f'{video}: {error}') from None
            values = self._values(windows['pred'], target, keep)
            if sample.get('pred_hypotheses') is not None:                                         # (W, H, F, K, 3)
                values.update(self._hypotheses(_array(sample['pred_hypotheses']), sample, frames, chosen, keep))
            number = len(target) if keep is None else int(keep.sum())
            self.results.append((sample['sample_idx'], self._name(sample, video), number, values))

    def _name(self, sample: dict, video: str) -> str:
        return {'action': str(sample['action']).split(' ')[0], 'subject': str(sample['subject']), 'video': video}[self.group]

    def _values(self, pred: np.ndarray, target: np.ndarray, keep: np.ndarray | None) -> dict[str, float]:
        values = {}
        if 'MPJVE' in self.measures and len(pred) > 1:
            velocity = errors.velocity_errors(pred, target)
            values['MPJVE'] = float((velocity if keep is None else velocity[keep[1:] & keep[:-1]]).mean()) * 1000
        if keep is not None:
            pred, target = pred[keep], target[keep]
        joints = errors.joint_errors(pred, target)
        if 'MPJPE' in self.measures:
            values['MPJPE'] = float(joints.mean()) * 1000
        if 'P-MPJPE' in self.measures:
            values['P-MPJPE'] = float(errors.joint_errors(errors.procrustes(pred, target), target).mean()) * 1000
        if 'N-MPJPE' in self.measures:
            values['N-MPJPE'] = float(errors.joint_errors(errors.rescale(pred, target), target).mean()) * 1000
        counted = joints if self.pck_joints is None else joints[:, self.pck_joints]
        if 'PCK' in self.measures:
            values['PCK'] = errors.pck(counted)
        if 'AUC' in self.measures:
            values['AUC'] = errors.auc(counted)
        return values

    def _hypotheses(self, hypotheses: np.ndarray, sample: dict, frames: np.ndarray, chosen: np.ndarray,
                    keep: np.ndarray | None) -> dict[str, float]:
        """Of (W, H, F, K, 3): the best of the hypotheses, joint by joint or pose by pose, and their mean."""
        target = _array(sample['gt_keypoints_3d'])[frames]                                     # (W, F, K, 3)
        counts = chosen.copy()
        if keep is not None:
            counts[chosen] = keep
        distance = errors.joint_errors(hypotheses, target[:, None])                                # (W, H, F, K)
        values = {}
        if 'J-Best' in self.measures:
            values['J-Best'] = float(distance.min(1)[counts].mean()) * 1000
        if 'P-Best' in self.measures:    # the hypothesis that is best over a whole window
            weight = counts[:, None, :, None]
            per_window = (distance * weight).sum((2, 3)) / np.maximum(weight.sum((2, 3)) * distance.shape[-1], 1)
            values['P-Best'] = float((per_window.min(1) * counts.sum(1)).sum() / counts.sum()) * 1000
        if 'P-Agg' in self.measures:
            values['P-Agg'] = float(errors.joint_errors(hypotheses.mean(1), target)[counts].mean()) * 1000
        if 'J-Agg' in self.measures:     # what `pred_windows` holds: the joints that reproject best
            windows = _array(sample['pred_windows'])
            values['J-Agg'] = float(errors.joint_errors(windows, target)[counts].mean()) * 1000
        return values

    def compute_metrics(self, results: list) -> dict[str, float]:
        """`metric` over all, `metric/group` of each group; a table goes to the log."""
        unique = {index: rest for index, *rest in results}              # padding repeats videos
        groups: dict[str, list] = {}
        for name, number, values in unique.values():
            if number:
                groups.setdefault(name, []).append((number, values))
        found = [m for m in self.measures if any(m in values for videos in groups.values() for _, values in videos)]
        table = {name: {m: _mean(videos, m) for m in found} for name, videos in groups.items()}
        everything = [video for videos in groups.values() for video in videos]
        total = {m: float(np.mean([row[m] for row in table.values()])) if self.average == 'groups' else _mean(everything, m)
                 for m in found}
        if len(table) > 1:
            print_log(_text(table, total, self.group), logger='current')
        detail = {f'{m}/{name}': value for name, row in table.items() for m, value in row.items()} if len(table) <= 40 else {}
        return {**total, **(detail if len(table) > 1 else {})}


def _array(value: torch.Tensor | np.ndarray) -> np.ndarray:
    return value.cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def first_seen(frames: np.ndarray) -> np.ndarray:
    """(W, F) bool: whether a frame of the video appears here for the first time."""
    chosen = np.zeros(frames.size, bool)
    chosen[np.unique(frames.reshape(-1), return_index=True)[1]] = True
    return chosen.reshape(frames.shape)


def _mean(videos: list, metric: str) -> float:
    known = [(number, values[metric]) for number, values in videos if metric in values]
    return float(sum(n * v for n, v in known) / sum(n for n, _ in known))


def _text(table: dict, total: dict, group: str) -> str:
    width = max(len(group), *map(len, table)) + 2
    head = f'{group:<{width}}' + ''.join(f'{f"{m} {UNITS[m]}":>12}' for m in total)
    rows = [f'{name:<{width}}' + ''.join(f'{row[m]:>12.2f}' for m in total) for name, row in [*table.items(), ('all', total)]]
    return '\n'.join(['', head, *rows])
