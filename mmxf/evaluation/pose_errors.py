"""Errors of 3-D poses, as the literature on Human3.6M, HumanEva and MPI-INF-3DHP defines them; whole test sets at once.

All functions take numpy arrays of any float type, in metres, and return metres per joint or frame, so that a mean over any part
of them is the published number of that part.
"""
import numpy as np

# So many frames at a time stay in the cache.
_FRAMES_AT_ONCE = 4096


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

    All frames at once (Schoenemann 1966): rotations in closed form, by SVD where that would lose digits.
    """
    out = np.empty_like(predicted, dtype=np.result_type(predicted, target))
    for start in range(0, len(predicted), _FRAMES_AT_ONCE):
        part = slice(start, start + _FRAMES_AT_ONCE)
        out[part] = _procrustes(predicted[part], target[part])
    return out


def _procrustes(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    mean = np.full((1, predicted.shape[1]), 1 / predicted.shape[1], predicted.dtype)        # ten times as fast as mean()
    middle_p, middle_t = np.matmul(mean, predicted), np.matmul(mean.astype(target.dtype), target)
    p, t = predicted - middle_p, target - middle_t
    rotation, total = best_rotations(np.matmul(p.transpose(0, 2, 1), t).astype(np.float64))
    with np.errstate(invalid='ignore', divide='ignore'):
        scale = total / np.einsum('nkc,nkc->n', p, p)
    return np.matmul(p, (rotation * scale[:, None, None]).astype(p.dtype)) + middle_t


def best_rotations(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotations R that maximise trace(R^T M) of matrices M (N, 3, 3) float64, and these traces (N,).

    The trace is the largest root of a quartic whose coefficients are invariants of M, R follows from it without a decomposition
    (Markley 1993, "Attitude determination using vector observations: a fast optimal matrix algorithm"). An SVD of every matrix
    takes ten times as long; it serves where two singular values (the least one signed) nearly cancel and R is not certain.
    """
    size = np.linalg.norm(products, axis=(1, 2))
    m = products / np.where(size > 0, size, 1)[:, None, None]
    rows = [m[:, i].T.copy() for i in range(3)]                                     # (3, N) each
    cofactors = np.stack([_cross(rows[1], rows[2]), _cross(rows[2], rows[0]), _cross(rows[0], rows[1])]).transpose(2, 0, 1)
    det = (rows[0].T * cofactors[:, 0]).sum(1)
    cubed = np.matmul(np.matmul(m, m.transpose(0, 2, 1)), m)
    constant = 2 * np.einsum('nij,nij->n', cubed, m) - 1
    root = np.full(len(m), 3 ** 0.5)
    with np.errstate(invalid='ignore', divide='ignore'):
        for _ in range(12):     # Newton from above, where the quartic is convex
            square = root * root
            step = (square * square - 2 * square - 8 * det * root + constant) / (4 * root * square - 4 * root - 8 * det)
            root = root - step
        kappa = (root * root - 1) / 2
        zeta = kappa * root - det           # product of the sums of two singular values
        rotation = ((kappa + 1)[:, None, None] * m + root[:, None, None] * cofactors - cubed) / zeta[:, None, None]
    unsure = ~(np.abs(step) < 1e-12) | ~(zeta > 1e-4) | (size == 0)
    if unsure.any():
        rotation[unsure], root[unsure] = _by_svd(m[unsure])
    return rotation, root * size


def _by_svd(products: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    u, s, vt = np.linalg.svd(products)
    # A reflection is undone along the least important axis.
    sign = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1, 1)
    u[:, :, 2] *= sign[:, None]
    s[:, 2] *= sign
    return np.matmul(u, vt), s.sum(1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of (3, N) each."""
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


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
