"""The C library's way with freed memory, set for networks on the CPU."""
import ctypes
import os

# <malloc.h>
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Has glibc keep freed memory for the next tensors.

    By default it gives large blocks back to the system when a feature map is freed, and gets them again, page by page and zeroed,
    for the next one: 5 to 10 % of a forward pass and of a training step. A process then stays as large as it once was.

    Does nothing where the user has set a MALLOC_... variable, and without glibc. Can be called again.

    Returns:
        Whether it was set.
    """
    if any(name.startswith('MALLOC_') for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):     # another C library, another system
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, 2 ** 31 - 1) and mallopt(_M_MMAP_THRESHOLD, 2 ** 30))
