"""The stand-in in place of whatever extension mmcv has, so that every test here tests mmxf's code."""
import sys
from types import ModuleType

import pytest
import torch

import mmxf  # noqa: F401  installs the finder
from mmxf.ops import torchvision_kernels
from mmxf.ops.extension import ExtensionFinder, compiled_ops_available

MODULES = (
    'nms',
    'roi_align',
    'focal_loss',
    'deform_conv',
    'modulated_deform_conv',
    'multi_scale_deform_attn',
    'info',
)


@pytest.fixture(scope='session')
def stand_in_module() -> ModuleType:
    module = ModuleType('stand_in')
    ExtensionFinder().exec_module(module)
    return module


@pytest.fixture(scope='session')
def op_modules() -> list[ModuleType]:
    """mmcv's modules that hold a reference to the extension."""
    import mmcv.ops  # noqa: F401
    return [sys.modules[f'mmcv.ops.{name}'] for name in MODULES]  # mmcv.ops.nms is the function


@pytest.fixture
def over_stand_in(monkeypatch, stand_in_module, op_modules) -> ModuleType:
    """mmcv.ops with the stand-in under it."""
    for module in op_modules:
        monkeypatch.setattr(module, 'ext_module', stand_in_module)
    return stand_in_module


@pytest.fixture
def stand_in(monkeypatch, over_stand_in) -> ModuleType:
    """The same without torchvision's kernels."""
    monkeypatch.setattr('mmxf.ops.nms.nms_kernel', lambda device: None)
    monkeypatch.setattr('mmxf.ops.roi_align.roi_align_kernels', lambda device: None)
    return over_stand_in


@pytest.fixture
def compiled():
    """Skips unless mmcv was compiled."""
    if not compiled_ops_available():
        pytest.skip('mmcv has no compiled ops here, nothing to compare with (docs/install.md: compiling)')


@pytest.fixture(params=['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu'])
def device(request) -> str:
    return request.param


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def fresh_torchvision_probe():
    """The probes run again, before and after."""
    probes = torchvision_kernels.nms_kernel, torchvision_kernels.roi_align_kernels
    for probe in probes:
        probe.cache_clear()
    yield
    for probe in probes:
        probe.cache_clear()
