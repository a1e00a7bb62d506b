"""Weights and images of KAT's parity numbers, made from names and seeds; the official code ran on the same."""
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / 'parity'))
import weights  # noqa: E402

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
# The table that published models start swish from; identity is a_1 = 1.
SWISH = ([3.054879741161051e-07, 0.5000007853744493, 0.24999783422824703, 0.05326628273219478, 0.005803034571292244,
          0.0002751961022402342], [-4.111554955950634e-06, 0.10652899335007572, -1.2690007399796238e-06,
                                   0.0005502331264140556])


def official_weight(name: str, shape) -> np.ndarray:
    """An entry of the official state dict: near the published start for the rationals, as drawn otherwise."""
    noise = weights.generate(name, shape)
    if '.act' in name:
        table = np.float32(SWISH[name.endswith('denominator')]) if '.act2.' in name else np.zeros(shape[1], np.float32)
        if '.act1.' in name and name.endswith('numerator'):
            table[1] = 1
        return (table + 0.02 * noise).astype(np.float32)
    if name in ('cls_token', 'pos_embed'):
        return (0.5 * weights.noise(name, shape) - 0.25).astype(np.float32)
    return noise


def images(count: int, height: int, width: int) -> np.ndarray:
    """(B, 3, H, W) float32, RGB, normalised as for ImageNet."""
    raw = np.stack([weights.image(seed, height, width) for seed in range(count)]).astype(np.float32)
    return ((raw - np.float32(MEAN)) / np.float32(STD)).transpose(0, 3, 1, 2).copy()


def kernel_inputs() -> dict[str, np.ndarray]:
    """x (5, 6, 48) with zeros, numerator (8, 6), denominator (8, 4) with a zero and both signs, output gradient."""
    shape = (5, 6, 48)
    x = (6 * weights.noise('kat.x', shape) - 3).astype(np.float32)
    x.reshape(-1)[::11] = 0
    numerator = (2 * weights.noise('kat.a', (8, 6)) - 1).astype(np.float32)
    denominator = (2 * weights.noise('kat.b', (8, 4)) - 1).astype(np.float32)
    denominator[0, 0] = 0
    return dict(x=x, numerator=numerator, denominator=denominator,
                grad=(2 * weights.noise('kat.grad', shape) - 1).astype(np.float32))
