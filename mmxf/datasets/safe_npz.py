"""Reading .npz files whose arrays hold pickled dictionaries, without running code from them.

VideoPose3D, P-STMO and others store nested dictionaries of arrays, which numpy writes as a pickle: `numpy.load` refuses it,
or with
``allow_pickle=True`` runs whatever the file says. Here a pickle may build arrays, numbers, strings and containers, and nothing
else; a file that asks for more is refused by name.
"""
import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# What plain arrays and numbers need. None of these runs anything that the file brings along.
_ALLOWED = {(f'numpy.{core}.multiarray', name) for core in ('core', '_core') for name in ('_reconstruct', 'scalar')} | \
    {('numpy', 'ndarray'), ('numpy', 'dtype'), ('_codecs', 'encode'), ('collections', 'OrderedDict'),
     ('builtins', 'complex'), ('builtins', 'set'), ('builtins', 'frozenset'), ('builtins', 'bytearray'),
     ('numpy.core.numeric', '_frombuffer'), ('numpy._core.numeric', '_frombuffer')}


class NpzError(ValueError):
    """A file that cannot be used; the message names it and says what to do."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) in _ALLOWED or (module == 'numpy.dtypes' and name.endswith('DType')):
            return super().find_class(module, name)
        raise NpzError(f'asks for {module}.{name}')


def read_npz(path, keys: Sequence[str] | None = None) -> dict:
    """The arrays of a .npz file by name; arrays of size one that hold a Python object are returned as that object.

    Args:
        path: the file.
        keys: those that are read; None: all.

    Raises:
        FileNotFoundError: there is no such file.
        NpzError: it is no .npz file, is cut off, lacks a key, or holds more than plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist')
    try:
        with zipfile.ZipFile(path) as archive:
            present = [name.removesuffix('.npy') for name in archive.namelist()]
            missing = [key for key in keys or () if key not in present]
            if missing:
                raise NpzError(f'{path} holds {", ".join(present)}; expected {", ".join(missing)}')
            return {key: _read(archive, key, path) for key in (keys or present)}
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise NpzError(f'{path} is no .npz file, or is cut off ({error}); get it again') from None


def _read(archive: zipfile.ZipFile, key: str, path: Path):
    with archive.open(f'{key}.npy') as file:
        try:
            version = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read_header(file)
            if not dtype.hasobject:
                data = np.frombuffer(file.read(), dtype, int(np.prod(shape, dtype=np.int64)))
                return data.reshape(shape, order='F' if fortran else 'C').copy()
            value = _Plain(file, encoding='latin1').load()
        except NpzError as error:
            raise NpzError(f'{path}: {key} is a pickle that {error}, more than plain arrays and dictionaries; it is not read, '
                           'as it could run any code. If you trust the file, load it yourself with '
                           'numpy.load(..., allow_pickle=True) and save its arrays again') from None
        except (ValueError, TypeError, AttributeError, IndexError, KeyError, pickle.UnpicklingError) as error:
            raise NpzError(f'{path}: {key} cannot be read ({error}); is the file cut off?') from None
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype == object:
        return value.reshape(-1)[0]
    return value
