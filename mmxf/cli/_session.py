"""What train and test share: flags, plain errors without traceback, and fitting a config to this machine."""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE_ERRORS = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
WEIGHTS = re.compile(r'checkpoint|\.(pth|pt|pkl|safetensors)\b')
OPTIONS_HELP = (
    'override config values, e.g. model.head.num_queries=50 data_root=data/mine/ list=[1,2] '
    'train_dataloader.dataset.pipeline.2.prob=0'
)


def add_session_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that train and test have in common, named as in OpenMMLab."""
    parser.add_argument(
        '--work-dir', metavar='DIR', help='folder of logs and results (default: work_dirs/<config name>)'
    )
    parser.add_argument('--cfg-options', nargs='+', action='extend', metavar='KEY=VALUE', help=OPTIONS_HELP)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what started the processes (default: none, a single one)',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument(
        '--trust-pickle',
        '--allow-pickle',
        '--unsafe-load',
        dest='allow_pickle',
        action='store_true',
        help='load checkpoints that may run code of whoever made them; only for files that you trust',
    )
    parser.add_argument(
        '--traceback', action='store_true', help='show the whole traceback of a plain error, too'
    )


def run_session(run: Callable[[argparse.Namespace], Any], args: argparse.Namespace) -> int:
    """Runs a command; an error that the user can mend ends it with its message and status 1, any other as
    usual.

    ``--traceback`` or ``MMXF_TRACEBACK=1`` lets all errors through.
    """
    try:
        run(args)
        from mmxf.engine.distributed import leave_processes

        leave_processes(status=0)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return 130
    except Exception as error:
        if args.traceback or os.environ.get('MMXF_TRACEBACK', '') not in ('', '0'):
            raise
        cfg = getattr(args, 'loaded_config', None)
        said = explain(error, cfg) if is_plain(error) else unusable_annotations(error, cfg)
        if said is None:
            raise
        print(f'error: {said}', file=sys.stderr)
        return 1
    return 0


def unusable_annotations(error: Exception, cfg: Any) -> str | None:
    """What is wrong with annotation files over which mmdet's readers have stopped without naming any; None for other errors."""
    if cfg is None or 'mmdet' not in sys.modules:
        return None
    from mmxf.datasets.annotation_file import faults_behind

    return faults_behind(error, cfg)


def is_plain(error: Exception) -> bool:
    """True for an error whose message is enough: mmxf's own kinds, and files that are not there or not allowed."""
    return (type(error).__module__.split('.')[0] == 'mmxf' or isinstance(error, FILE_ERRORS)
            or getattr(error, 'errno', None) in NO_ROOM)


def explain(error: Exception, cfg: Any = None) -> str:
    """The message of a plain error; a missing file with the config keys that name it."""
    if not isinstance(error, FileNotFoundError):
        return str(error)
    path = str(error.filename or error)
    text = f'{path}: no such file or folder' if error.filename else path
    keys = keys_naming(path, getattr(cfg, '_cfg_dict', {}))
    return (
        text
        + (f'\n  the config names it in {", ".join(keys[:3])}' if keys else '')
        + ('' if WEIGHTS.search(path) else '\n  data/README.md shows where data sets go; --traceback shows where it was opened')
    )


def keys_naming(path: str, node: Any, prefix: str = '') -> list[str]:
    """Keys of a config whose value is a part of ``path``, the most exact first."""
    found: list[tuple[int, str]] = []

    def visit(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                visit(item, f'{key}.{name}' if key else str(name))
        elif isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                visit(item, f'{key}.{i}')
        elif isinstance(value, str) and len(value) > 3 and value.rstrip('/') in path and '/' in value + '/':
            if path.rstrip('/').endswith(value.rstrip('/')):
                found.append((-len(value), key))

    visit(node, prefix)
    return [key for _, key in sorted(found)]


def open_session(args: argparse.Namespace) -> Any:
    """Loads and checks the config, and fits it to the command line and to this machine.

    Sets ``LOCAL_RANK`` as mmengine expects it, safe loading of checkpoints, ``work_dir`` and ``launcher``.

    Returns:
        the mmengine Config, ready for ``build_runner``.
    """
    from mmxf.config import load_config
    from mmxf.config.overrides import parse_options
    from mmxf.engine.checkpoint_io import install_safe_loading
    from mmxf.engine.elastic import rejoin_processes
    from mmxf.engine.slurm import join_slurm_step

    from ._outputs import check_folder

    join_slurm_step(args.launcher)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    install_safe_loading(allow_pickle=args.allow_pickle)
    cfg = args.loaded_config = load_config(args.config, parse_options(args.cfg_options))
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = os.path.join('work_dirs', Path(args.config).stem)
    check_loaders(cfg)
    if not getattr(args, 'dry_run', False):
        check_folder(cfg.work_dir, '--work-dir')
    rejoin_processes(cfg, args.launcher)
    fit_to_machine(cfg)
    return cfg


def check_loaders(cfg: Any) -> None:
    """Raises UserError for numbers of images or workers that no loader can have, which torch says without the key."""
    from mmxf.config import UserError

    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader')
        for key, least in (('batch_size', 1), ('num_workers', 0)) if isinstance(loader, dict) else ():
            value = loader.get(key, least)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise UserError(f'{split}_dataloader.{key}={value!r}: a whole number, at least {least}')


def fit_to_machine(cfg: Any) -> list[str]:
    """Takes back what needs more than this machine has: SyncBN outside a multi-GPU run, NCCL without GPUs.

    Returns:
        the notices it printed.
    """
    import torch

    from mmxf.allocator import keep_freed_memory
    from mmxf.engine.distributed import prepare_cpu_processes

    processes = world_size(cfg.launcher)
    notices = []
    if cfg.get('sync_bn') is not None and (processes == 1 or not torch.cuda.is_available()):
        reason = 'a single process' if processes == 1 else 'no GPU'
        notices.append(
            f'sync_bn={cfg.sync_bn!r} dropped ({reason}): BatchNorm uses the statistics of each process'
        )
        cfg.sync_bn = None
    prepare_cpu_processes(cfg, cfg.launcher)
    if not torch.cuda.is_available():
        keep_freed_memory()
    for notice in notices:
        if int(os.environ.get('RANK', 0)) == 0:
            print(f'note: {notice}')
    return notices


def world_size(launcher: str) -> int:
    """Number of processes that the launcher has started.

    Raises:
        UserError: when its environment variables are absent.
    """
    if launcher == 'none':
        return 1
    name = {'pytorch': 'WORLD_SIZE', 'slurm': 'SLURM_STEP_NUM_TASKS', 'mpi': 'OMPI_COMM_WORLD_SIZE'}[launcher]
    if name not in os.environ:
        from mmxf.config import UserError

        script = {
            'pytorch': 'torchrun (tools/dist_train.sh, tools/dist_test.sh)',
            'mpi': 'mpirun',
            'slurm': 'srun (tools/slurm_train.sh, tools/slurm_test.sh)',
        }[launcher]
        raise UserError(f'--launcher {launcher} expects to be started by {script}: {name} is not set')
    return int(os.environ[name])


def existing_file(path: str, what: str) -> str:
    """``path`` if such a file is there (or it is a URL or a scheme such as ``torchvision://``).

    Raises:
        UserError: with the nearest names beside it.
    """
    if '://' in path or os.path.isfile(path):
        return path
    from mmxf.config.errors import UserError, nearest

    folder = Path(path).parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    near = nearest(Path(path).name, names) or sorted(name for name in names if name.endswith('.pth'))[-3:]
    hint = (
        f'; in {folder}: {", ".join(near)}'
        if near
        else ('' if folder.is_dir() else f'; there is no folder {folder}')
    )
    raise UserError(f'{path}: no such {what}{hint}')


def build_runner(cfg: Any) -> Any:
    """The Runner of a config, mmengine's or the one that ``runner_type`` names."""
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from mmxf.config.printing import prepare_printing
    from mmxf.engine.weights_source import is_remote, locate

    check_backends(cfg)
    prepare_printing()
    if is_remote(cfg.get('load_from')):
        cfg.load_from = locate(cfg.load_from)
    return RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)


# What mmengine's backends import, and what installs it.
BACKENDS = {'TensorboardVisBackend': 'tensorboard', 'WandbVisBackend': 'wandb', 'MLflowVisBackend': 'mlflow',
            'ClearMLVisBackend': 'clearml', 'NeptuneVisBackend': 'neptune', 'DVCLiveVisBackend': 'dvclive',
            'AimVisBackend': 'aim'}


def check_backends(cfg: Any) -> None:
    """Raises UserError where a backend of the visualizer needs a package that is not installed."""
    from importlib.util import find_spec

    from mmxf.config import UserError

    for backend in (cfg.get('visualizer') or {}).get('vis_backends') or []:
        if not isinstance(backend, dict):
            raise UserError(f"vis_backends: {backend!r} is no dict; write dict(type='LocalVisBackend')")
        package = BACKENDS.get(str(backend.get('type', '')).split('.')[-1])
        if package and package not in sys.modules and find_spec(package) is None:
            raise UserError(f'vis_backends: {backend["type"]} needs {package}, which is not installed: pip install {package}')
