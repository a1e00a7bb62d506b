"""A GPU in the processor's memory, for a torch without CUDA: `build` compiles device.cpp, `install` makes torch take it for CUDA.

Tensors on it lie apart from the CPU's, as on a real one; what torch can do only with CUDA's libraries is done here in Python.
Streams do nothing, memory is not counted, Triton is not there.
"""
from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

SOURCE = Path(__file__).with_name('device.cpp')


def build(target: Path, compiler: str = 'g++') -> None:
    """Compiles device.cpp against the installed torch, in ten seconds.

    Raises:
        subprocess.CalledProcessError: the compiler failed; its message is on stderr.
    """
    include = _torch_folder() / 'include'
    subprocess.run([compiler, '-shared', '-fPIC', '-std=c++20', '-O0', '-w', '-isystem', str(include), '-isystem',
                    str(include / 'torch/csrc/api/include'), str(SOURCE), '-o', str(target)], check=True)


def install(library: Path) -> None:
    """Loads what `build` made. To be called before torch is imported, which looks for its device only once."""
    if 'torch' in sys.modules:
        raise RuntimeError('the stand-in GPU must be installed before torch is imported')
    for name in ('libc10.so', 'libtorch_cpu.so'):
        ctypes.CDLL(str(_torch_folder() / 'lib' / name), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
    sys.modules['triton'] = None                # its kernels need the real thing
    import torch
    _patch_cuda(torch)
    _patch_tensors(torch)


def _torch_folder() -> Path:
    return Path(importlib.util.find_spec('torch').origin).parent


class _Stream(contextlib.nullcontext):
    def __init__(self, *args, **kwargs) -> None:
        super().__init__(self)

    def _nothing(self, *args) -> None:
        pass

    synchronize = wait_stream = wait_event = record_event = _nothing


class _Event:
    def __init__(self, *args, **kwargs) -> None:
        self.seconds = 0.

    def record(self, *args) -> None:
        self.seconds = time.perf_counter()

    def elapsed_time(self, other: _Event) -> float:
        return 1000 * (other.seconds - self.seconds)

    def synchronize(self) -> None:
        pass

    def query(self) -> bool:
        return True


def _patch_cuda(torch) -> None:
    """What torch.cuda asks CUDA's libraries."""
    cuda, size = torch.cuda, 1 << 30
    properties = SimpleNamespace(name='stand-in GPU', total_memory=80 * size, major=9, minor=0, multi_processor_count=1)
    answers = dict(
        is_available=True, is_initialized=True, is_bf16_supported=True, _is_in_bad_fork=False, is_current_stream_capturing=False,
        device_count=1, current_device=0, get_device_name=properties.name, get_device_capability=(9, 0),
        get_device_properties=properties, memory_allocated=size, max_memory_allocated=size, memory_reserved=size,
        max_memory_reserved=size, mem_get_info=(40 * size, 80 * size))
    silent = ('_lazy_init', 'init', 'set_device', 'synchronize', 'empty_cache', 'manual_seed', 'manual_seed_all',
              'set_rng_state_all', 'reset_peak_memory_stats')
    for name, answer in {**answers, **dict.fromkeys(silent)}.items():     # torch.compile wants a function of its own for each
        setattr(cuda, name, lambda *args, _answer=answer, **kwargs: _answer)
    cuda.get_rng_state = lambda device='cuda': torch.get_rng_state()
    cuda.set_rng_state = lambda state, device='cuda': torch.set_rng_state(state)
    cuda.get_rng_state_all = lambda: [torch.get_rng_state()]
    cuda.Stream, cuda.Event, cuda.device = _Stream, _Event, contextlib.nullcontext
    cuda.current_stream, cuda.default_stream = lambda device=None: _Stream(), lambda device=None: _Stream()
    cuda.stream = lambda stream: stream or _Stream()
    torch.Tensor.record_stream = lambda tensor, stream: None


def _patch_tensors(torch) -> None:
    """Copies and files of tensors, which torch makes of storages that it has no code for here."""
    copies, plain_load = (torch.nn.Parameter.__deepcopy__, torch.Tensor.__deepcopy__), torch.load

    def deepcopy(tensor, memo):
        if not tensor.is_cuda:
            return copies[not isinstance(tensor, torch.nn.Parameter)](tensor, memo)
        if id(tensor) not in memo:
            new = tensor.detach().clone()
            memo[id(tensor)] = torch.nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, torch.nn.Parameter) else \
                new.requires_grad_(tensor.requires_grad)
        return memo[id(tensor)]

    def load(file, map_location=None, **kwargs):
        if map_location is not None and not str(map_location).startswith('cuda'):
            return plain_load(file, map_location=map_location, **kwargs)
        places = set()
        found = plain_load(file, map_location=lambda storage, place: places.add(place) or storage, **kwargs)
        return moved(found) if map_location is not None or any(place.startswith('cuda') for place in places) else found

    def moved(value):
        if isinstance(value, torch.Tensor):
            return value.cuda()
        if isinstance(value, dict):
            value.update({key: moved(item) for key, item in value.items()})
            return value
        return type(value)(map(moved, value)) if type(value) in (list, tuple) else value

    torch.Tensor.__deepcopy__ = torch.nn.Parameter.__deepcopy__ = deepcopy
    torch.load = load
