"""Data sets that cannot be read: what is wrong with their annotation files, and the rest of their samples all the same."""
from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmxf.datasets.annotation_file import READER_ERRORS, annotation_files, examine, read_annotation_file
from mmxf.datasets.errors import DatasetError

from .coco import check_file
from .report import Report
from .run import innermost, source_of

UNREADABLE_SET = 'data sets that cannot be read'


def open_anyway(build: Callable[[Any, str], Any], cfg: Any, split: str, name: str, error: Exception) -> tuple[Any | None, Report]:
    """The data set of a split without the entries that its reader stops at; else what is wrong.

    Args:
        build: makes the data set of a config and a split.
        cfg: with ``{split}_dataloader.dataset``; stays as it is.
        name: what messages call the data set.
        error: what `build` raised over the whole files.

    Returns:
        the data set, or None; the report of a pass over its annotation files, where there is none.
    """
    report, reason = Report(name), None
    try:
        dataset = _build_without_faults(build, cfg, split, error)
        if dataset is not None:
            return dataset, report
    except (*READER_ERRORS, OSError) as other:
        reason = other      # besides the entries that were left out
    files = [path for _, path in annotation_files(cfg[f'{split}_dataloader']['dataset'])]
    for path in files:
        check_file(report, path)
    if not report.errors:
        reason = reason or error
    if reason is not None:
        kind = '' if isinstance(reason, (DatasetError, FileNotFoundError)) else f'{type(reason).__name__}: '
        report.add(UNREADABLE_SET, ', '.join(files) or cfg.filename or name, f'{kind}{reason}',
                   cure='data/README.md shows the trees; check data_root, ann_file, data_prefix and metainfo')
    return None, report


def _build_without_faults(build: Callable[[Any, str], Any], cfg: Any, split: str, error: Exception) -> Any | None:
    """The data set, whose ``ann_file`` is the original, so that messages name it; None where no entry would be left. Raises
    `error` where entries are not the cause, and what `build` raises over the rest."""
    cfg = copy.deepcopy(cfg)
    originals: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix='mmxf_check_') as folder:
        for part, path in list(annotation_files(cfg[f'{split}_dataloader']['dataset'])):
            try:
                faults, sound = examine(read_annotation_file(path))
            except DatasetError:
                return None
            if not faults:
                continue
            if not sound.get('images') or not sound.get('annotations'):
                return None
            short = str(Path(folder, f'{len(originals)}.json'))
            Path(short).write_text(json.dumps(sound), encoding='utf-8')
            originals[short], part['ann_file'] = path, short
        if not originals:
            raise error
        try:
            dataset = build(cfg, split)
        except READER_ERRORS as other:
            said = f'{"" if isinstance(other, DatasetError) else type(other).__name__ + ": "}{other}'
            for short, path in originals.items():
                said = said.replace(short, path)
            raise DatasetError(said) from other
    for inner in map(source_of, innermost(dataset)):
        if getattr(inner, 'ann_file', None) in originals:
            inner.ann_file = originals[inner.ann_file]
    return dataset
