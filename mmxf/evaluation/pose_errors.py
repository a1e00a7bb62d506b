"""Errors of 3-D poses, as the literature on Human3.6M, HumanEva and MPI-INF-3DHP defines them; whole test sets at once.

All functions take numpy arrays of any float type, in metres, and return metres per joint or frame, so that a mean over any part
of them is the published number of that part.
"""
import numpy as np

# One SVD call on this many frames keeps its temporaries within a few dozen megabytes.
_FRAMES_AT_ONCE = 65536


def check_poses(predicted: np.ndarray, target: np.ndarray) -> None:
    """Raises ValueError unless both are (..., K, 3) of one shape and finite."""
    if predicted.shape != target.shape or predicted.ndim < 2 or predicted.shape[-1] != 3:
        raise ValueError(f'predicted and true poses must both be (..., K, 3), got {predicted.shape} and {target.shape}')
    for name, poses in (('predicted', predicted), ('true', target)):
        if not np.isfinite(poses).all():
            raise ValueError(f'{(~np.isfinite(poses).all((-1, -2))).sum()} of the {name} poses are not finite')


def joint_errors(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(..., K) distances of (..., K, 3) poses; their mean is MPJPE, protocol 1."""
    return np.linalg.norm(predicted - target, axis=-1)


def rescale(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Poses (..., K, 3), each scaled to fit its target best; MPJPE of them is N-MPJPE, protocol 3."""
    scale = (target * predicted).sum((-1, -2), keepdims=True) / (predicted ** 2).sum((-1, -2), keepdims=True)
    return scale * predicted


def procrustes(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Poses (N, K, 3), each moved, turned and scaled to fit its target best (no mirroring); MPJPE of them is P-MPJPE.

    One batched SVD for all frames (Schoenemann 1966).
    """
    out = np.empty_like(predicted, dtype=np.result_type(predicted, target))
    for start in range(0, len(predicted), _FRAMES_AT_ONCE):
        part = slice(start, start + _FRAMES_AT_ONCE)
        out[part] = _procrustes(predicted[part], target[part])
    return out


def _procrustes(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    middle_p, middle_t = predicted.mean(1, keepdims=True), target.mean(1, keepdims=True)
    p, t = predicted - middle_p, target - middle_t
    # p^T t as 3 x K times K x 3.
    u, s, vt = np.linalg.svd(np.matmul(p.transpose(0, 2, 1), t))
    # A reflection is undone along the least important axis.
    sign = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1, 1).astype(s.dtype)
    u[:, :, 2] *= sign[:, None]
    s[:, 2] *= sign
    with np.errstate(invalid='ignore', divide='ignore'):
        scale = s.sum(1) / np.einsum('nkc,nkc->n', p, p)
    return np.matmul(p, np.matmul(u, vt) * scale[:, None, None]) + middle_t


def velocity_errors(predicted: np.ndarray, target: np.ndarray, axis: int = 0) -> np.ndarray:
    """Distances of the changes from frame to frame along ``axis``; their mean is MPJVE (metres a frame)."""
    return np.linalg.norm(np.diff(predicted - target, axis=axis), axis=-1)


def pck(errors: np.ndarray, threshold: float = 0.15) -> float:
    """Percentage of joint errors (metres) below the threshold."""
    return 100 * float((errors < threshold).mean())


def auc(errors: np.ndarray, largest: int = 150, step: int = 5) -> float:
    """Area under the PCK curve: mean PCK at 0, 5, ... 150 mm, in percent (MPI-INF-3DHP)."""
    thresholds = (np.arange(0, largest + step, step) / 1000).astype(errors.dtype)
    below = np.searchsorted(np.sort(errors, axis=None), thresholds, side='left')    # strictly below
    return 100 * float(below.mean() / errors.size)
