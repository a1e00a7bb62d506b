"""Windows of 2-D and 3-D joints for lifting."""
from __future__ import annotations

import numpy as np

from .report import Report


def accepts(info: dict) -> bool:
    return 'keypoints_2d' in info


def check(info: dict, report: Report) -> tuple[np.ndarray, np.ndarray] | None:
    """Looks at one window or video; returns its 2-D joints and edges, for the contact sheet."""
    name = info.get('file_name', 'a window')
    skeleton, points, poses = report.skeleton, info['keypoints_2d'], info.get('keypoints_3d')
    if points.shape[1] != len(skeleton):
        report.add('keypoints of another number than the skeleton has', name, f'{points.shape[1]} of {len(skeleton)}',
                   cure='metainfo joints must name the joints of the files, in their order')
        return None
    reach = float(np.abs(points).max())
    if reach > 4:
        report.add('2-D joints far outside of the image', name, f'up to {reach:.3g} in units of half its width',
                   cure='joints must be in pixels of the image whose width and height the camera file says', error=reach > 20)
    if float(np.ptp(points, axis=0).max()) == 0 and len(points) > 10:
        report.add('people that never move', name, error=False, cure='is the same frame stored many times?')
    if poses is not None:
        bones = np.array([np.linalg.norm(poses[:, a] - poses[:, b], axis=-1).mean() for a, b in skeleton.edges])
        typical = float(np.median(bones))
        if not 0.05 < typical < 1.0:
            report.add('3-D joints that are not in metres', name, f'a bone is {typical:.3g} long',
                       cure='divide millimetres by 1000')
        limp = bones / np.maximum(np.array([np.linalg.norm(poses[0, a] - poses[0, b]) for a, b in skeleton.edges]), 1e-9)
        if len(poses) > 1 and (np.abs(limp - 1) > 0.5).any():
            report.add('bones that change their length', name, f'by {100 * float(np.abs(limp - 1).max()):.0f}% on average',
                       error=False, cure='are edges or the order of the joints wrong?')
        report.facts.setdefault('median bone', f'{typical:.2f} m')
        height = float(np.median(np.ptp(poses[..., 1], axis=1)))
        report.facts.setdefault('height of a person', f'{height:.2f} m')
    frames = report.sums.setdefault('frames', [0])
    frames[0] += len(points)
    report.facts['frames'] = f'{frames[0]:,}'
    first = points[0] * [-1, 1] if info.get('mirrored') else points[0]      # as the window is trained on
    return first, np.array(skeleton.edges)
