"""An import hook that serves ``mmcv._ext`` when mmcv was installed without compiled ops.

mmdet and mmseg import ``mmcv.ops``, which wants a compiled ``mmcv._ext``. Compiling takes minutes and a
compiler; most users need a handful of the ops. The finder below stands at the END of ``sys.meta_path``:
Python asks it only after every regular finder has failed, so a compiled extension always wins and stays
untouched.
"""
import importlib.machinery
import importlib.util
import sys
from types import ModuleType

NAME = 'mmcv._ext'

# Name in mmcv._ext -> module of mmxf.ops that implements it, under the same name.
IMPLEMENTED = {
    'nms': 'nms',
    'softnms': 'soft_nms',
    'roi_align_forward': 'roi_align',
    'roi_align_backward': 'roi_align',
    'sigmoid_focal_loss_forward': 'focal_loss',
    'sigmoid_focal_loss_backward': 'focal_loss',
    'deform_conv_forward': 'deform_conv',
    'deform_conv_backward_input': 'deform_conv',
    'deform_conv_backward_parameters': 'deform_conv',
    'modulated_deform_conv_forward': 'modulated_deform_conv',
    'modulated_deform_conv_backward': 'modulated_deform_conv',
    'ms_deform_attn_forward': 'ms_deform_attn',
    'ms_deform_attn_backward': 'ms_deform_attn',
    'get_compiler_version': 'build_info',
    'get_compiling_cuda_version': 'build_info',
}


class ExtensionFinder:
    """Finds and loads the stand-in; a finder and a loader in one, as ``importlib`` allows."""

    def find_spec(self, fullname: str, path=None, target=None):
        if fullname != NAME:
            return None
        return importlib.machinery.ModuleSpec(NAME, self, origin='mmxf.ops')

    def create_module(self, spec) -> None:
        return None  # an ordinary module

    def exec_module(self, module: ModuleType) -> None:
        from mmxf.environment import warn_of_conflicts
        from mmxf.ops.absent import absent_op

        warn_of_conflicts()
        for name, home in IMPLEMENTED.items():
            setattr(module, name, getattr(importlib.import_module(f'mmxf.ops.{home}'), name))

        def __getattr__(name: str):
            # mmcv asks with hasattr() for every op it wraps, whichever its version knows. Private names are
            # asked by Python's own machinery, which must hear that they are absent.
            if name.startswith('_'):
                raise AttributeError(f'module {NAME!r} (the stand-in of mmxf) has no attribute {name!r}')
            op = absent_op(name)
            setattr(module, name, op)
            return op

        module.__doc__ = 'Stand-in for the compiled extension of mmcv, provided by mmxf.ops.'
        module.__getattr__ = __getattr__


def install() -> None:
    """Append the finder to ``sys.meta_path``, once."""
    if not any(isinstance(finder, ExtensionFinder) for finder in sys.meta_path):
        sys.meta_path.append(ExtensionFinder())


def compiled_ops_available() -> bool:
    """Whether ``mmcv._ext`` is, or would be, the compiled extension. Imports mmcv, but not ``mmcv.ops``."""
    spec = importlib.util.find_spec(NAME)
    return spec is not None and not isinstance(spec.loader, ExtensionFinder)
