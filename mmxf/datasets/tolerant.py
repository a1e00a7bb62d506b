"""Training goes on past unreadable images, up to a limit, and names every one."""
from __future__ import annotations

import json
import os
import tempfile
import traceback
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset

from mmxf.engine.random_state import mix_seed, seeded_generators
from mmxf.registry import DATASETS

from .annotation_file import build_dataset

# A single draw that fails is a bad image; this many in a row are a bad pipeline or a wrong path.
_MAX_DRAWS = 8


class UnreadableSampleError(RuntimeError):
    """A sample cannot be read, or too many cannot."""


@DATASETS.register_module()
class TolerantDataset:
    """Wraps a training data set: an unreadable sample is reported and another one takes its place.

    The exact training loops put it around any data set by themselves. It also seeds the random draws of each sample
    when the sampler gives it a seed, see :class:`mmxf.engine.sampler.ResumableSampler`; what replaces a bad sample is
    a function of that seed, so a resumed run replaces it by the same.

    Everything that cannot be loaded counts, also images that end too early, which OpenCV would show half grey. A data
    set in ``test_mode`` is never tolerant, since leaving an image out changes the metric: the error names the file.

    Args:
        dataset: the data set or its config. All other attributes (``metainfo``, ``pipeline``...) are passed on to it.
        max_bad_samples: the run stops when more samples than this are bad, counted once each, over all workers and
            ranks and resumed runs. An int is a number; a float below 1 a share of the data; None: 1 %, at least 10.
        report_file: one JSON line per bad sample ``{"index", "file", "error"}``. Workers count by it. None: a
            temporary file.
    """

    def __init__(self, dataset: Any, max_bad_samples: int | float | None = None,
                 report_file: str | None = None) -> None:
        self.dataset = build_dataset(dataset) if isinstance(dataset, dict) else dataset
        if report_file is None:
            handle, report_file = tempfile.mkstemp(prefix='bad_samples_', suffix='.jsonl')
            os.close(handle)
        self.report_file = str(report_file)
        self._max_bad_samples = max_bad_samples

    def __getattr__(self, name: str):
        if name.startswith('__') or name == 'dataset':  # asked for while unpickling, before there is a dataset
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def max_bad_samples(self) -> int:
        limit = self._max_bad_samples
        if limit is None:
            return max(10, len(self) // 100)
        if isinstance(limit, float) and limit < 1:
            return int(limit * len(self))
        return int(limit)

    def __getitem__(self, index: int) -> Any:
        seed = getattr(index, 'seed', None)
        index = int(index)
        if getattr(self.dataset, 'test_mode', False):
            try:
                return self.dataset[index]
            except Exception as error:
                raise UnreadableSampleError(f'{_name_of(self.dataset, index)}: {error}') from error
        for attempt in range(_MAX_DRAWS):
            draw_seed = seed if attempt == 0 or seed is None else mix_seed(seed, attempt)
            if attempt > 0:
                index = (mix_seed(index, attempt) if seed is None else draw_seed) % len(self)
            try:
                with seeded_generators(draw_seed):
                    cut = _cut_off_file(self.dataset, index)
                    if cut is not None:
                        raise UnreadableSampleError(f'{cut} is cut off: its end is missing' if os.path.getsize(cut) else
                                                    f'{cut} is empty (0 bytes)')
                    return self.dataset[index]
            except (MemoryError, RecursionError):
                raise
            except Exception as error:
                # A second image that is mixed in can be the bad one; it says so.
                self._report(getattr(error, 'sample_index', index), error)
                last = error
        raise UnreadableSampleError(
            f'{_MAX_DRAWS} samples in a row could not be read, so the images are not the cause: check data_root, '
            f'data_prefix and the pipeline. The last one, {_name_of(self.dataset, index)}: '
            f'{type(last).__name__}: {last}') from last

    def _report(self, index: int, error: Exception) -> None:
        known = read_report(self.report_file)
        if index in known:
            return
        entry = dict(index=index, file=_name_of(self.dataset, index), error=f'{type(error).__name__}: {error}'[:500])
        line = (json.dumps(entry) + '\n').encode()
        with open(self.report_file, 'ab', buffering=0) as file:  # one short write: workers do not mix lines
            file.write(line)
        known[index] = entry
        # Workers have no logger; what they print reaches the terminal, and the report file keeps it.
        print(f'mmxf: bad training sample {len(known)} (limit {self.max_bad_samples}), another one takes its place: '
              f'{entry["file"]}: {entry["error"]}', flush=True)
        if len(known) == 1:
            print(''.join(traceback.format_exception(error)[-6:]), flush=True)
        if len(known) > self.max_bad_samples:
            files = '\n  '.join(f'{e["file"]}: {e["error"]}' for e in list(known.values())[:50])
            raise UnreadableSampleError(
                f'{len(known)} training samples cannot be read, more than max_bad_samples={self.max_bad_samples}. '
                f'Repair or remove them (all are listed in {self.report_file}), or raise train_cfg.max_bad_samples:'
                f'\n  {files}') from error


def read_report(report_file: str | os.PathLike) -> dict[int, dict]:
    """Bad samples of a report file, by index."""
    if not Path(report_file).is_file():
        return {}
    entries = (json.loads(line) for line in Path(report_file).read_text().splitlines() if line.endswith('}'))
    return {entry['index']: entry for entry in entries}


def _sample_info(dataset: Any, index: int) -> dict:
    """What the innermost data set says of a sample; empty where it cannot be found."""
    for _ in range(8):
        if isinstance(dataset, BaseDataset):
            break
        if hasattr(dataset, 'datasets') and hasattr(dataset, '_get_ori_dataset_idx'):
            part, index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.datasets[part]
        elif hasattr(dataset, '_get_ori_dataset_idx'):
            index = dataset._get_ori_dataset_idx(index)
            dataset = dataset.dataset
        elif hasattr(dataset, 'dataset'):
            dataset = dataset.dataset
        else:
            break
    try:
        info = dataset.get_data_info(index)
        return info if isinstance(info, dict) else {}
    except Exception:  # a data set without it; names are a courtesy
        return {}


def _name_of(dataset: Any, index: int) -> str:
    info = _sample_info(dataset, index)
    return str(info.get('img_path') or info.get('file_name') or f'sample {index}')


def _cut_off_file(dataset: Any, index: int) -> str | None:
    """The first local image of a sample that has no end, or nothing at all. Costs two small reads a file."""
    for key, path in _sample_info(dataset, index).items():
        if key.endswith('_path') and isinstance(path, str) and os.path.isfile(path) and ends_early(path):
            return path
    return None


def ends_early(path: str | os.PathLike) -> bool:
    """Whether a file is empty, or is a JPEG or PNG without its end marker (within the last 64 kB: some cameras append data)."""
    with open(path, 'rb') as file:
        head = file.read(8)
        if not head:
            return True
        if head.startswith(b'\xff\xd8'):
            marker = b'\xff\xd9'
        elif head == b'\x89PNG\r\n\x1a\n':
            marker = b'IEND'
        else:
            return False
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 65536))
        return marker not in file.read()
