"""How long each step of a data pipeline takes, one sample after another in this process."""

from __future__ import annotations

import statistics
import time
from typing import Any


def measure_pipeline(config: str, split: str = 'train', samples: int = 50, options: dict | None = None, seed: int = 0) -> dict:
    """Times of the steps of a config's pipeline.

    Args:
        config: a config file, or ``mmdet::...``.
        split: 'train', 'val' or 'test'.
        samples: evenly spread over the data set.
        options: overrides of the config.
        seed: of each sample's random draws.

    Returns:
        ``steps``, a list of (name, median ms, mean ms a sample); ``sample_ms``, the mean of whole samples;
        ``images_per_second``; ``samples``, how many came through; ``dropped``, how many the pipeline gave up.

    Raises:
        UserError: without such a data set, or one without a pipeline.
    """
    import cv2

    from mmxf.apis import open_config
    from mmxf.apis.datasets import build_dataset

    cv2.setNumThreads(0)    # as in a data worker
    cfg = open_config(config, options)
    return time_steps(build_dataset(cfg, split), samples, seed, f'{config} ({split})')


def time_steps(dataset: Any, samples: int, seed: int = 0, name: str = '') -> dict:
    """As :func:`measure_pipeline`, of a data set that is built. The first sample is a warm-up and not counted."""
    from mmxf.config import UserError
    from mmxf.engine.random_state import mix_seed, seeded_generators

    owner, transforms = pipeline_of(dataset)
    if transforms is None:
        raise UserError(f'{name or type(dataset).__name__}: the data set has no pipeline of transforms that could be timed')
    first = 'data set: what it knows of a sample'
    names = [first] + [f'{i}. {type(transform).__name__}' for i, transform in enumerate(transforms, 1)]
    times: dict[str, list[float]] = {label: [] for label in names}
    proxies = [_Timed(transform) for transform in transforms]
    totals, dropped = [], 0
    length = len(owner)
    indices = [round(i * (length - 1) / max(1, samples - 1)) for i in range(samples)]
    owner.pipeline.transforms = proxies
    try:
        for turn, index in enumerate([indices[0], *indices]):
            for proxy in proxies:
                proxy.seconds = None
            with seeded_generators(mix_seed(seed, turn)):
                start = time.perf_counter()
                sample = owner.prepare_data(index)
                total = time.perf_counter() - start
            if turn == 0:
                continue
            dropped += sample is None
            totals.append(total)
            times[first].append(total - sum(proxy.seconds or 0 for proxy in proxies))
            for label, proxy in zip(names[1:], proxies):
                if proxy.seconds is not None:
                    times[label].append(proxy.seconds)
    finally:
        owner.pipeline.transforms = transforms
    mean = statistics.mean(totals)
    steps = [(label, 1e3 * statistics.median(values), 1e3 * sum(values) / len(totals))
             for label, values in times.items() if values]
    return dict(steps=steps, sample_ms=1e3 * mean, images_per_second=1 / mean, samples=len(totals) - dropped, dropped=dropped)


class _Timed:
    """A transform that keeps how long it took; everything else is asked of the transform itself."""

    def __init__(self, transform: Any) -> None:
        self.transform, self.seconds = transform, None

    def __call__(self, sample: dict):
        start = time.perf_counter()
        sample = self.transform(sample)
        self.seconds = (self.seconds or 0) + time.perf_counter() - start
        return sample

    def __getattr__(self, name: str):
        return getattr(self.transform, name)


def pipeline_of(dataset: Any) -> tuple[Any, list | None]:
    """The data set below wrappers that has a pipeline, and its transforms."""
    for _ in range(8):
        transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', None)
        if transforms is not None and hasattr(dataset, 'prepare_data'):
            return dataset, list(transforms)
        inner = getattr(dataset, 'datasets', None)
        dataset = inner[0] if inner else getattr(dataset, 'dataset', None)
    return dataset, None


def table(result: dict) -> str:
    """The result as text, the share of each step with it."""
    width = max(len(label) for label, _, _ in result['steps']) + 2
    lines = [f'{"step":<{width}}{"median ms":>10}{"mean ms":>10}{"share":>8}']
    for label, median, mean in result['steps']:
        lines.append(f'{label:<{width}}{median:>10.2f}{mean:>10.2f}{mean / result["sample_ms"]:>8.0%}')
    lines.append(f'{"all":<{width}}{"":>10}{result["sample_ms"]:>10.2f}   {result["images_per_second"]:.1f} samples/s a core')
    if result['dropped']:
        lines.append(f'{result["dropped"]} samples were given up by the pipeline and count for their time')
    return '\n'.join(lines)
