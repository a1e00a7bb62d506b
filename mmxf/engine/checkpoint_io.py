"""Reading weight files without running what is in them.

A pickle may name any function and have it called while it loads. Here torch files load with ``weights_only=True`` and
plain pickles (detectron2's dictionaries of arrays) with an unpickler that knows arrays, tensors and containers only.
The way round is explicit: ``load_file(path, allow_pickle=True)``.
"""
from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from . import safetensors_io, weights_source
from .plain_data import restored
from .random_state_pickles import random_state_globals

_ZIP = b'PK\x03\x04'
# Files of torch < 1.6 begin with the pickled number 0x1950a86a20f9469cfc6c.
_LEGACY = re.compile(rb'\x80[\x02-\x05](\x95.{8})?\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\.', re.DOTALL)
_REFUSED = re.compile(r'(?:GLOBAL|unsupported GLOBAL|function) ([\w.<>]+)')
_allow_pickle_everywhere = False


class UnsafeCheckpointError(pickle.UnpicklingError):
    """A weight file wants to call or build something that is neither an array, a tensor nor a container."""

    def __init__(self, path: str, refused: str) -> None:
        super().__init__(f'{path} wants to load {refused!r}, which could run any code on this machine, with all that you may '
                         'do, so it was not loaded. Weights need no such thing. If you trust whoever made the file, say so: '
                         '--trust-pickle on the command line (allow_pickle=True in Python), and better, save it again as plain '
                         'tensors.')
        self.path, self.refused = path, refused


class DamagedCheckpointError(RuntimeError):
    """A weight file is cut off or is no weight file."""


def _method_of_history_buffer(owner: type, name: str):
    """What mmengine's log buffers need of ``getattr``: their own statistics, nothing else."""
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'Unsupported global: GLOBAL builtins.getattr({owner!r}, {name!r})')


# torch looks functions up by these two names (the form with tuples is newer than torch 2.4).
_method_of_history_buffer.__module__, _method_of_history_buffer.__qualname__ = 'builtins', 'getattr'
_method_of_history_buffer.__name__ = 'getattr'


def _alias(function, module: str):
    """The same function under the module name that numpy 1 or 2 wrote into the file."""

    def call(*args):
        return function(*args)

    call.__module__, call.__qualname__, call.__name__ = module, function.__name__, function.__name__
    return call


def _reconstruct_array(subtype, shape, dtype):
    if subtype is not np.ndarray:
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL {subtype!r}')
    return np.ndarray.__new__(np.ndarray, shape, dtype)


_reconstruct_array.__name__ = '_reconstruct'


def _array_from_buffer(data, dtype, shape, order):
    """How numpy writes arrays into protocol 5 pickles."""
    return np.frombuffer(data, dtype=dtype).reshape(shape, order=order)


def _numpy_scalar(dtype, value=None):
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise pickle.UnpicklingError(f'Unsupported global: GLOBAL numpy scalar of {dtype!r}')
    return np.frombuffer(value, dtype=dtype)[0]


_numpy_scalar.__name__ = 'scalar'


def _bytes_of_text(text: str, encoding: str = 'latin1') -> bytes:
    """How python 3 writes bytes into a protocol 2 pickle; the encoding is always this one."""
    return text.encode('latin1')


_bytes_of_text.__name__ = 'encode'


def _safe_globals() -> list:
    dtypes = {type(np.dtype(name)) for name in
              ('bool', 'int8', 'int16', 'int32', 'int64', 'uint8', 'uint16', 'uint32', 'uint64', 'float16', 'float32',
               'float64', 'complex64', 'complex128', 'S1', 'U1')}
    arrays = [_alias(function, f'numpy.{core}.multiarray') for core in ('core', '_core')
              for function in (_reconstruct_array, _numpy_scalar)]
    # bytes: python 3 writes an empty one into a protocol 2 pickle as a call of bytes()
    return [np.ndarray, np.dtype, *dtypes, *arrays, _alias(_bytes_of_text, '_codecs'), bytes, slice, HistoryBuffer,
            _method_of_history_buffer, *random_state_globals()]


@contextlib.contextmanager
def _allowed(names: list):
    """``torch.serialization.safe_globals``, which torch 2.4 has not."""
    if hasattr(torch.serialization, 'safe_globals'):
        with torch.serialization.safe_globals(names):
            yield
        return
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals(names)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


class _PlainUnpickler(pickle.Unpickler):
    """Knows arrays, tensors and containers."""

    _known: dict[tuple[str, str], Any] = {
        ('collections', 'OrderedDict'): collections.OrderedDict,
        ('collections', 'defaultdict'): collections.defaultdict,
        ('numpy', 'ndarray'): np.ndarray,
        ('numpy', 'dtype'): np.dtype,
        ('numpy.core.multiarray', '_reconstruct'): _reconstruct_array,
        ('numpy._core.multiarray', '_reconstruct'): _reconstruct_array,
        ('numpy.core.multiarray', 'scalar'): _numpy_scalar,
        ('numpy._core.multiarray', 'scalar'): _numpy_scalar,
        ('numpy.core.numeric', '_frombuffer'): _array_from_buffer,
        ('numpy._core.numeric', '_frombuffer'): _array_from_buffer,
        ('_codecs', 'encode'): _bytes_of_text,
        ('torch', 'Size'): torch.Size,
        ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
        ('torch._utils', '_rebuild_parameter'): torch._utils._rebuild_parameter,
        # torch's own function loads without weights_only.
        ('torch.storage', '_load_from_bytes'): lambda data: torch.load(io.BytesIO(data), map_location='cpu',
                                                                       weights_only=True),
    } | {('builtins', kind.__name__): kind for kind in (bytes, set, frozenset, slice, complex, bytearray)}

    def __init__(self, file, path: str) -> None:
        super().__init__(file, encoding='latin1')
        self._path = path

    def find_class(self, module: str, name: str):
        if (module, name) in self._known:
            return self._known[module, name]
        if module == 'numpy' and isinstance(getattr(np, name, None), type) and \
                issubclass(getattr(np, name), np.generic):
            return getattr(np, name)
        raise UnsafeCheckpointError(self._path, f'{module}.{name}')

    def persistent_load(self, pid):
        raise pickle.UnpicklingError(f'{self._path}: a persistent id in a plain pickle')


def load_file(path: str | os.PathLike, allow_pickle: bool = False, map_location: Any = 'cpu') -> Any:
    """Read a file of weights: torch's formats, or a pickled dictionary of arrays (``.pkl`` of detectron2).

    Args:
        path: the file.
        allow_pickle: load anything, running whatever the file says. Only for files you made or trust.
        map_location: as in ``torch.load``.

    Returns:
        what was saved, usually a dict. Arrays of plain pickles stay numpy arrays.

    Raises:
        FileNotFoundError: no such file.
        UnsafeCheckpointError: the file wants to build or call something else; nothing of it has run.
        DamagedCheckpointError: the file is cut off, or not a weight file.
    """
    path = str(Path(path).expanduser())
    if not os.path.isfile(path):
        raise FileNotFoundError(f'{path}: no such file of weights')
    with open(path, 'rb') as file:
        return load_stream(file, path, allow_pickle or _allow_pickle_everywhere, map_location)


def load_stream(file, name: str, allow_pickle: bool = False, map_location: Any = 'cpu') -> Any:
    """As :func:`load_file`, from an open binary file; ``name`` is what messages call it."""
    head = file.read(64)
    file.seek(0)
    try:
        if safetensors_io.is_safetensors(head):
            return safetensors_io.checkpoint_of(file.read(), name)
        if not head.startswith(_ZIP) and not _LEGACY.match(head):
            return pickle.load(file, encoding='latin1') if allow_pickle else _PlainUnpickler(file, name).load()
        if allow_pickle:
            return torch.load(file, map_location=map_location, weights_only=False)
        with _allowed(_safe_globals()):
            return _made_again(torch.load(file, map_location=map_location, weights_only=True))
    except UnsafeCheckpointError:
        raise
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        if refused:
            raise UnsafeCheckpointError(name, refused.group(1)) from None
        if 'TorchScript' in str(error):
            raise UnsafeCheckpointError(name, 'a TorchScript program') from None
        raise _damaged(name, error) from error
    except (EOFError, OSError, RuntimeError, ValueError, IndexError, KeyError) as error:
        if allow_pickle:
            raise
        raise _damaged(name, error) from error


def _made_again(content: Any) -> Any:
    """What a run of ours wrote as plain data, as mmengine wants it back."""
    for key in ('message_hub', 'meta') if isinstance(content, dict) else ():
        if key in content:
            content[key] = restored(content[key])
    return content


def _damaged(name: str, error: Exception) -> DamagedCheckpointError:
    first_line = (str(error).splitlines() or [''])[0]
    return DamagedCheckpointError(f'{name} cannot be read as a file of weights, it is cut off or something else '
                                  f'({type(error).__name__}: {first_line[:200]})')


def install_safe_loading(allow_pickle: bool = False) -> None:
    """Make every load through mmengine use :func:`load_file`: resume, load_from, ``init_cfg`` Pretrained, and URLs.

    mmengine itself falls back to unpickling anything when safe loading fails. Calling this again only sets
    ``allow_pickle``.
    """
    global _allow_pickle_everywhere
    _allow_pickle_everywhere = allow_pickle
    from mmengine.runner import checkpoint

    def load_from_local(filename, map_location='cpu'):
        return load_file(filename, map_location=map_location)

    def load_from_http(filename, map_location=None, model_dir=None, progress=False):
        return load_file(weights_source.locate(filename), map_location=map_location)

    def safe_torch_load(file, map_location=None, weights_only=None):
        if isinstance(file, (str, os.PathLike)):
            return load_file(file, map_location=map_location)
        return load_stream(file, getattr(file, 'name', 'the downloaded file'), _allow_pickle_everywhere, map_location)

    checkpoint.CheckpointLoader.register_scheme('', load_from_local, force=True)
    checkpoint.CheckpointLoader.register_scheme(('http://', 'https://', 'hub://'), load_from_http, force=True)
    checkpoint.load_from_http = load_from_http  # torchvision:// and mmcls:// call it by name
    checkpoint._safe_torch_load = safe_torch_load
