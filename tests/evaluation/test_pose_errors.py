"""Rotations in closed form against an SVD of every matrix; benchmarks/pose_metrics.py agrees with itself."""
import sys
from pathlib import Path

import numpy as np
import pytest

from mmxf.evaluation import pose_errors as errors

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'benchmarks'))


def matrices(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    return {
        'any': lambda: rng.normal(size=(2000, 3, 3)),
        'mirrored': lambda: np.abs(rng.normal(size=(200, 3, 1))) * [-1, 1, 1] * np.eye(3),
        'flat': lambda: rng.normal(size=(200, 3, 2)) @ rng.normal(size=(200, 2, 3)),
        'on a line': lambda: rng.normal(size=(50, 3, 1)) @ rng.normal(size=(50, 1, 3)),
        'nearly cancelling': lambda: np.eye(3) * [1, 0.5, -0.4999] + 1e-5 * rng.normal(size=(200, 3, 3)),
        'nothing': lambda: np.zeros((3, 3, 3)),
        'tiny and huge': lambda: rng.normal(size=(200, 3, 3)) * np.repeat([1e-12, 1e12], 100)[:, None, None]}[kind]()


@pytest.mark.parametrize('kind', ['any', 'mirrored', 'flat', 'on a line', 'nearly cancelling', 'nothing', 'tiny and huge'])
def test_closed_form_is_the_svd(kind):
    m = matrices(kind)
    rotation, trace = errors.best_rotations(m)
    size = np.abs(m).max((1, 2)) + 1e-30
    expected = errors._by_svd(m)[1]
    assert (np.abs(trace - expected) <= 1e-9 * size).all()
    assert (np.abs((rotation * m).sum((1, 2)) - expected) <= 1e-9 * size).all()
    np.testing.assert_allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3)[None].repeat(len(m), 0), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-9)


def test_more_frames_than_one_part(monkeypatch):
    rng = np.random.default_rng(0)
    target = rng.normal(size=(25, 17, 3))
    predicted = target[:, ::-1] + rng.normal(size=target.shape)
    whole = errors.procrustes(predicted, target)
    monkeypatch.setattr(errors, '_FRAMES_AT_ONCE', 10)
    np.testing.assert_allclose(errors.procrustes(predicted, target), whole, atol=1e-12)


def test_the_benchmark_compares_equal_numbers(capsys):
    from pose_metrics import main

    assert main(['--frames', '300', '--looped', '50', '--runs', '1']) == 0
    assert '300 poses' in capsys.readouterr().out
