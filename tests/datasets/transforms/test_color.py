"""SSD colour jitter, against the augmentation written out step by step."""

import cv2
import numpy as np
import pytest

from mmxf.datasets.transforms import SSDColorJitter


def scripted(monkeypatch, flags, brightness, contrast, saturation, turn):
    """Make numpy draw these: flags = contrast first, use brightness, contrast, saturation, hue."""
    draws = {(-32, 32): brightness, (0.5, 1.5): None}
    factors = [f for f, use in ((contrast, flags[2]), (saturation, flags[3])) if use]
    monkeypatch.setattr(
        np.random, 'uniform', lambda low, high: draws[-32, 32] if (low, high) == (-32, 32) else factors.pop(0)
    )
    monkeypatch.setattr(
        np.random, 'randint', lambda low, high=None, size=None: np.array(flags) if size == 5 else turn
    )


def by_hand(img, flags, brightness, contrast, saturation, turn):
    def change(x, factor=1.0, shift=0.0):
        return np.clip(x.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)

    def hsv(x, f):
        x = cv2.cvtColor(x, cv2.COLOR_BGR2HSV)
        return cv2.cvtColor(f(x), cv2.COLOR_HSV2BGR)

    contrast_first, use_brightness, use_contrast, use_saturation, use_hue = flags
    steps = [lambda x: change(x, shift=brightness) if use_brightness else x]
    c = [lambda x: change(x, contrast) if use_contrast else x]
    s = [
        lambda x: (
            hsv(x, lambda y: np.dstack([y[..., 0], change(y[..., 1], saturation), y[..., 2]]))
            if use_saturation
            else x
        ),
        lambda x: (
            hsv(x, lambda y: np.dstack([((y[..., 0].astype(int) + turn) % 180).astype(np.uint8), y[..., 1:]]))
            if use_hue
            else x
        ),
    ]
    for step in steps + (c + s if contrast_first else s + c):
        img = step(img)
    return img


IMG = np.random.RandomState(0).randint(0, 256, (40, 50, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    'flags',
    [
        (0, 0, 0, 0, 0),
        (0, 1, 0, 0, 0),
        (1, 1, 1, 0, 0),
        (0, 1, 1, 0, 0),
        (1, 0, 0, 1, 0),
        (0, 0, 0, 0, 1),
        (1, 0, 1, 1, 0),
        (0, 1, 1, 0, 1),
    ],
)
def test_equals_the_steps_one_by_one(monkeypatch, flags):
    values = (-20.3, 1.37, 1.29, -15)
    scripted(monkeypatch, flags, *values)
    out = SSDColorJitter().transform({'img': IMG[:, ::-1]})['img']
    assert out.dtype == np.uint8
    assert (out == by_hand(np.ascontiguousarray(IMG[:, ::-1]), flags, *values)).all()


def test_saturation_and_hue_together_differ_by_rounding_only(monkeypatch):
    flags, values = (1, 1, 1, 1, 1), (12.5, 0.8, 0.7, 9)
    scripted(monkeypatch, flags, *values)
    out = SSDColorJitter().transform({'img': IMG})['img'].astype(int)
    assert abs(out - by_hand(IMG, flags, *values)).mean() < 1.5


def test_numbers_by_hand(monkeypatch):
    scripted(monkeypatch, (1, 1, 1, 0, 0), 10, 1.5, 1, 0)
    img = np.array([[[0, 100, 200]]], np.uint8)
    assert SSDColorJitter().transform({'img': img})['img'].tolist() == [[[15, 165, 255]]]
    scripted(monkeypatch, (0, 0, 0, 0, 1), 0, 1, 1, 60)  # red turned by 120 degrees is green; grey stays
    img = np.array([[[0, 0, 255], [90, 90, 90]]], np.uint8)
    assert SSDColorJitter().transform({'img': img})['img'].tolist() == [[[0, 255, 0], [90, 90, 90]]]


def test_each_step_happens_half_of_the_time():
    np.random.seed(0)
    grey = np.repeat(IMG[..., :1], 3, 2)  # of which saturation and hue change nothing
    jitter = SSDColorJitter(contrast_range=(1, 1))
    changed = [(jitter.transform({'img': grey})['img'] != grey).any() for _ in range(200)]
    assert 75 < sum(changed) < 125


def test_floats_are_refused():
    with pytest.raises(TypeError, match='uint8 images, got float32'):
        SSDColorJitter().transform({'img': IMG.astype(np.float32)})
