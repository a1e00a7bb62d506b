"""What ``mmcv.utils.collect_env`` prints about the extension."""


def get_compiler_version() -> str:
    """In place of e.g. ``GCC 12.2``."""
    return 'not compiled (stand-in of mmxf)'


def get_compiling_cuda_version() -> str:
    """The string that mmcv compiled without CUDA returns."""
    return 'not available'
