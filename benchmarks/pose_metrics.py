"""P-MPJPE of a whole test set at once, beside one frame after the other.

    python benchmarks/pose_metrics.py --frames 100000

Both sides give the same number, to 1e-9 m. Runs alternate; medians. The loop is timed on some of the frames and counted up.
"""
import argparse
import statistics
import sys
import time

import numpy as np


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='benchmarks/pose_metrics.py', description=__doc__.splitlines()[0])
    parser.add_argument('--frames', type=int, default=100000)
    parser.add_argument('--joints', type=int, default=17)
    parser.add_argument('--looped', type=int, default=5000, help='frames of the loop (default: %(default)s)')
    parser.add_argument('--runs', type=int, default=5)
    return parser.parse_args(argv)


def one_frame(predicted: np.ndarray, target: np.ndarray) -> float:
    """P-MPJPE of a single pose (K, 3)."""
    middle = target.mean(0)
    p, t = predicted - predicted.mean(0), target - middle
    u, s, vt = np.linalg.svd(p.T @ t)
    if np.linalg.det(u @ vt) < 0:
        u[:, 2] *= -1
        s[2] *= -1
    aligned = p @ (u @ vt) * (s.sum() / (p ** 2).sum()) + middle
    return float(np.linalg.norm(aligned - target, axis=1).mean())


def main(argv=None) -> int:
    args = parse_args(argv)
    from mmxf.evaluation.pose_errors import joint_errors, procrustes

    rng = np.random.default_rng(0)
    target = rng.normal(0, 0.4, (args.frames, args.joints, 3))
    predicted = target + rng.normal(0, 0.05, target.shape)
    predicted[::7] *= [-1, 1, 1]        # mirrored poses take the other branch
    looped = min(args.looped, args.frames)
    batched, loop = [], []
    for _ in range(args.runs):
        start = time.perf_counter()
        ours = joint_errors(procrustes(predicted, target), target)
        batched.append(time.perf_counter() - start)
        start = time.perf_counter()
        theirs = [one_frame(p, t) for p, t in zip(predicted[:looped], target[:looped])]
        loop.append((time.perf_counter() - start) * args.frames / looped)
    difference = np.abs(ours[:looped].mean(1) - theirs).max()
    if difference > 1e-9:
        print(f'the two sides differ by {difference:.1e} m', file=sys.stderr)
        return 1
    ratio = statistics.median(loop) / statistics.median(batched)
    print(f'{args.frames} poses of {args.joints} joints: at once {statistics.median(batched):.2f} s, frame by frame '
          f'{statistics.median(loop):.2f} s, {ratio:.0f} times; largest difference {difference:.1e} m')
    return 0


if __name__ == '__main__':
    sys.exit(main())
