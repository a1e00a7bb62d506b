"""Machine code by numba, which comes with mmdetection and needs no compiler. Imported at the first call."""
from collections.abc import Callable


def jit(function: Callable, signature: object, **options) -> Callable:
    """``function`` compiled for one signature, without Python's lock.

    The code is kept on disk for later processes where a folder can be written: beside the function's file, else in the user's
    cache; the environment variable NUMBA_CACHE_DIR names another.

    Raises:
        ImportError: there is no numba, or it is told not to compile.
        Exception: of other types, where it does not fit the installed NumPy, or cannot compile here.
    """
    import numba

    if numba.config.DISABLE_JIT:
        raise ImportError('NUMBA_DISABLE_JIT is set')
    options = dict(nogil=True, **options)
    try:
        return numba.njit(signature, cache=True, **options)(function)
    except Exception:                # no folder for the cache, no room in it, a damaged one
        return numba.njit(signature, **options)(function)
