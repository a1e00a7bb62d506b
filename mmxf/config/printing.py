"""Configs as text, laid out once.

Yapf takes most of a second, and mmengine asks for the text anew for the log, the visualizer, the folder of the run and every
checkpoint.
"""
from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable

KEPT = 4                                   # texts; a run has one or two


def import_yapf(attempts: int = 40, pause: float = 0.25) -> None:
    """Imports what mmengine prints configs with, once more where that fails.

    At its first import in a new environment yapf writes its grammar to the user's cache, in place; of several processes that
    start together one may read half a file, and would end the run with an EOFError.
    """
    for attempt in range(attempts):
        try:
            importlib.import_module('yapf')
            return
        except ImportError:                # mmengine says so, where it needs it
            return
        except Exception:                  # of any type: half a pickle
            if attempt == attempts - 1:
                raise
            time.sleep(pause)


def remembering(pretty_text: Callable) -> Callable:
    """``Config.pretty_text`` that lays out a text that it has seen no second time."""
    texts: dict[str, str] = {}

    @functools.wraps(pretty_text)
    def remembered(cfg) -> str:
        if not cfg._format_python_code:
            return pretty_text(cfg)
        object.__setattr__(cfg, '_format_python_code', False)      # all but yapf, in no time
        try:
            raw = pretty_text(cfg)
        finally:
            object.__setattr__(cfg, '_format_python_code', True)
        if raw not in texts:
            while len(texts) >= KEPT:
                del texts[next(iter(texts))]
            texts[raw] = pretty_text(cfg)
        return texts[raw]

    return remembered


def prepare_printing() -> None:
    """Makes mmengine remember how configs are laid out; calling it twice is harmless."""
    from mmengine.config import Config

    import_yapf()
    if not hasattr(Config.pretty_text.fget, '__wrapped__'):
        Config.pretty_text = property(remembering(Config.pretty_text.fget), doc=Config.pretty_text.__doc__)
