"""What surrounds a model while it trains: loops, hooks, optimiser groups, schedules, files.

On top of mmengine's Runner: exact continuation after a kill, whole checkpoints, loading that runs no code.
"""
from . import hooks, loops, optim, schedulers
from .atomic_files import CheckpointWriteError, write_atomically
from .checkpoint_io import DamagedCheckpointError, UnsafeCheckpointError, install_safe_loading, load_file
from .distributed import prepare_cpu_processes
from .sampler import ResumableSampler

__all__ = ['CheckpointWriteError', 'DamagedCheckpointError', 'ResumableSampler', 'UnsafeCheckpointError', 'hooks',
           'install_safe_loading', 'load_file', 'loops', 'optim', 'prepare_cpu_processes', 'schedulers',
           'write_atomically']
