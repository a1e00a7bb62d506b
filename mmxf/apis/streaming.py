"""Many images through a model without it waiting: images are read and prepared ahead by threads, and go in batches."""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from .inference import ImageError, prepare, read_image, test_pipeline


@dataclass
class Speed:
    """Where the time of a stream went.

    Args:
        images: predicted so far.
        seconds: since the first was asked for.
        model: seconds within the model.
        waiting: seconds in which the model had nothing to do because images were not ready.
    """

    images: int = 0
    seconds: float = 0.0
    model: float = 0.0
    waiting: float = 0.0

    def text(self) -> str:
        """One line."""
        rate = self.images / self.seconds if self.seconds else 0.0
        alone = self.images / self.model if self.model else 0.0
        share = 100 * self.waiting / self.seconds if self.seconds else 0.0
        return f'{rate:.1f} images/s (the model alone {alone:.1f}; {share:.0f}% of the time it waited for images)'


@dataclass
class Predicted:
    """One image of a stream; `image` and `sample` are None and `error` says why where it could not be read."""

    key: Any
    image: np.ndarray | None
    sample: Any
    error: ImageError | None = None


def predict_stream(model, sources: Iterable[tuple[Any, Any]], batch_size: int = 1, workers: int = 2, ahead: int = 2,
                   speed: Speed | None = None) -> Iterator[Predicted]:
    """Predictions in the order of the sources.

    Args:
        model: of `init_model`.
        sources: (key, path or (H, W, 3) uint8 BGR array); drawn from by one thread, at most `ahead` batches before their turn.
        batch_size: images a forward pass; the last may be smaller.
        workers: threads that read and prepare images.
        ahead: batches that are prepared while the model works.
        speed: filled while the stream runs.

    Raises:
        ValueError: for a batch size, a number of workers or batches ahead below 1.
    """
    if min(batch_size, workers, ahead) < 1:
        raise ValueError(f'batch_size, workers and ahead must be at least 1, got {batch_size}, {workers} and {ahead}')
    pipeline = getattr(model, '_test_pipeline', None)
    if pipeline is None:
        pipeline = model._test_pipeline = test_pipeline(model.cfg)
    speed = speed if speed is not None else Speed()

    def load(number: int, key: Any, source: Any) -> tuple[Predicted, dict | None]:
        try:
            image = source if isinstance(source, np.ndarray) else read_image(source)
            item = prepare(pipeline, image, number)
            if not isinstance(source, np.ndarray):
                item['data_samples'].set_metainfo(dict(img_path=str(source)))
            return Predicted(key, image, None), item
        except ImageError as error:
            return Predicted(key, None, None, error), None

    start, waiting = time.perf_counter(), deque()
    numbered = enumerate(sources)
    was_training = model.training
    model.eval()
    with ThreadPoolExecutor(workers, 'mmxf-images') as pool:
        try:
            while True:
                for number, (key, source) in islice(numbered, (ahead + 1) * batch_size - len(waiting)):
                    waiting.append(pool.submit(load, number, key, source))
                if not waiting:
                    return
                began = time.perf_counter()
                loaded = [waiting.popleft().result() for _ in range(min(batch_size, len(waiting)))]
                ready = time.perf_counter()
                _predict(model, loaded)
                done = time.perf_counter()
                speed.waiting += ready - began
                speed.model += done - ready
                speed.images += sum(item is not None for _, item in loaded)
                speed.seconds = done - start
                yield from (predicted for predicted, _ in loaded)
                speed.seconds = time.perf_counter() - start
        finally:
            for future in waiting:
                future.cancel()
            model.train(was_training)


def _predict(model, loaded: list[tuple[Predicted, dict | None]]) -> None:
    """Fills in the predictions of a batch. Images of several sizes that the model cannot stack go one by one."""
    import torch

    whole = [(predicted, item) for predicted, item in loaded if item is not None]
    if not whole:
        return
    with torch.no_grad():
        if len({tuple(item['inputs'].shape) for _, item in whole}) > 1 and not _stacks_sizes(model):
            samples = [model.test_step(_batch([item]))[0] for _, item in whole]
        else:
            samples = model.test_step(_batch([item for _, item in whole]))
    for (predicted, _), sample in zip(whole, samples):
        predicted.sample = sample
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()    # else the time of the model would be that of whoever asks for the result


def _stacks_sizes(model) -> bool:
    """Whether the data preprocessor pads a batch of several sizes to one."""
    name = type(model.data_preprocessor).__name__
    return name not in ('ClassificationPreprocessor', 'DepthPreprocessor')


def _batch(items: list[dict]) -> dict:
    return dict(inputs=[item['inputs'] for item in items], data_samples=[item['data_samples'] for item in items])


class Writers:
    """Draws and writes results behind the model's back, in order of arrival, a bounded number at once.

    Args:
        workers: threads.
        waiting: results that may wait; more make `put` wait, so that memory stays bounded.
    """

    def __init__(self, workers: int = 2, waiting: int = 16) -> None:
        self.pool, self.limit = ThreadPoolExecutor(workers, 'mmxf-pictures'), waiting
        self.futures: deque[Future] = deque()

    def put(self, function: Callable, *args: Any) -> Iterator[Any]:
        """Hands over a job; yields what the oldest jobs returned, as far as they must be done now."""
        self.futures.append(self.pool.submit(function, *args))
        while len(self.futures) > self.limit or self.futures and self.futures[0].done():
            yield self.futures.popleft().result()

    def rest(self) -> Iterator[Any]:
        """What the remaining jobs return."""
        while self.futures:
            yield self.futures.popleft().result()

    def close(self) -> None:
        """Ends the threads; jobs that have not begun are dropped."""
        self.pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
