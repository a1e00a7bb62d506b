"""First coefficients of rational functions: fits to common activations, and the gain that keeps the variance.

KAT starts each rational at a known activation (paper, section 4.3). The published tables of relu, tanh, swish and others are
least-squares fits on [-3, 3] with the denominator 1 + sum |b_k| |x|^k of the kernels, and `fit` makes them anew. Those of gelu,
geglu and swishglu were fitted with 1 + |b_1 x + ... + b_4 x^4|, which the kernels do not compute: under the kernels' denominator
they are other functions. `fit` uses the kernels' unless told otherwise.
"""
import functools
import math
from collections.abc import Callable

import numpy as np

RANGE = (-3.0, 3.0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf
    return x * (1 + erf(x / math.sqrt(2))) / 2


ACTIVATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    'identity': lambda x: x,
    'relu': lambda x: np.maximum(x, 0),
    'leaky_relu': lambda x: np.where(x < 0, 0.01 * x, x),
    'leaky_relu_0.1': lambda x: np.where(x < 0, 0.1 * x, x),
    'tanh': np.tanh,
    'sigmoid': _sigmoid,
    'gelu': _gelu,
    'swish': lambda x: x * _sigmoid(x),
    'mish': lambda x: x * np.tanh(np.log1p(np.exp(x))),
    'geglu': lambda x: x * _gelu(x),
    'swishglu': lambda x: x * x * _sigmoid(x),
}


def evaluate(x: np.ndarray, numerator: np.ndarray, denominator: np.ndarray, absolute: str = 'terms') -> np.ndarray:
    """The rational function in numpy.

    Args:
        x: any shape. numerator: (M + 1,), lowest power first. denominator: (N,).
        absolute: 'terms' for 1 + sum |b_k| |x|^k, the kernels'; 'sum' for 1 + |sum b_k x^k|.
    """
    top = np.polynomial.polynomial.polyval(x, numerator)
    if absolute == 'terms':
        return top / (1 + np.polynomial.polynomial.polyval(np.abs(x), [0, *np.abs(denominator)]))
    if absolute == 'sum':
        return top / (1 + np.abs(np.polynomial.polynomial.polyval(x, [0, *denominator])))
    raise ValueError(f"absolute must be 'terms' or 'sum', got {absolute!r}")


def _activation(name: str) -> Callable[[np.ndarray], np.ndarray]:
    if name not in ACTIVATIONS:
        raise ValueError(f'no activation {name!r} to start from; known are {", ".join(ACTIVATIONS)}')
    return ACTIVATIONS[name]


@functools.cache
def fit(name: str, orders: tuple[int, int] = (5, 4), absolute: str = 'terms') -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Coefficients of the rational function next to an activation on [-3, 3], in the sense of least squares.

    Args:
        name: of `ACTIVATIONS`.
        orders: (M, N).
        absolute: see `evaluate`.

    Returns:
        numerator (M + 1,) and denominator (N,). Of 'identity' exactly a_1 = 1, b = 0.

    Raises:
        ValueError: for an unknown name.
    """
    target, (m, n) = _activation(name), orders
    if name == 'identity':
        return (0.0, 1.0, *[0.0] * (m - 1))[:m + 1], (0.0,) * n
    from scipy.optimize import least_squares

    x = np.linspace(*RANGE, 1000)
    y = target(x)

    powers = np.vander(np.abs(x) if absolute == 'terms' else x, n + 1, increasing=True)[:, 1:]
    top = np.vander(x, m + 1, increasing=True)

    def project(denominator: np.ndarray) -> tuple[np.ndarray, ...]:
        """The best numerator, the values, and what values and their residuals change by with the denominator."""
        inside = powers @ denominator
        below = 1 + np.abs(inside)
        basis, triangle = np.linalg.qr(top / below[:, None])
        part = basis.T @ y
        value = basis @ part
        slope = -(value / below * np.sign(inside))[:, None] * powers
        return np.linalg.solve(triangle, part), value, slope - basis @ (basis.T @ slope)

    # With the denominator held, the numerator is a linear problem: only the denominator is searched for (variable projection with
    # Kaufman's derivative, BIT 15, 1975). All six or more numbers at once end in valleys that differ from one scipy to the next.
    # With |sum b x| there are several even so; this start leads to that of the published tables.
    start = [0.5 ** (k + 1) / math.factorial(k) for k in range(n)]
    bounds = (0 if absolute == 'terms' else -np.inf, np.inf)
    found = least_squares(lambda b: project(b)[1] - y, start, lambda b: project(b)[2], bounds=bounds, max_nfev=500,
                          xtol=1e-15, ftol=1e-15, gtol=1e-15)
    return tuple(map(float, project(found.x)[0])), tuple(map(float, found.x))


@functools.cache
def gain(name: str) -> float:
    """1 / E[F(x)^2] of a standard normal x: the variance of weights behind the activation is this over their number of inputs.

    The paper's alpha (section 4.3, table of gains), which it draws a million numbers for; here by quadrature.
    """
    function = _activation(name)
    x = np.linspace(-12, 12, 200001)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return 1 / float(np.sum(function(x) ** 2 * density) * (x[1] - x[0]))
