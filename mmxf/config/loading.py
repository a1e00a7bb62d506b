"""Reading a config: files, overrides, references, validation."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError, UserError, nearest

if TYPE_CHECKING:
    from mmengine.config import Config


def load_config(path: str | os.PathLike, options: dict[str, Any] | None = None, check: bool = True) -> Config:
    """Reads a config as every command of mmxf reads it.

    The file and its bases are merged by mmengine, then ``options`` (``{'model.head.num_queries': 50}``, as
    given by ``--cfg-options``), then ``${...}`` references are replaced, then the whole is validated.

    Args:
        path: a config in mmengine's text dialect (its pure Python dialect, JSON and YAML are read, too);
            ``'mmdet::mask2former/...'`` names one that an installed library ships.
        options: dotted keys and values that override the file.
        check: validate types and keys; imports the libraries that the config names.

    Returns:
        mmengine ``Config`` without any reference left.

    Raises:
        ConfigError: with all problems found, each with file and line.
        UserError: when the file is missing or is no valid Python.
    """
    from mmengine.config import Config

    from .locations import Locations
    from .overrides import apply_options, unread_variables
    from .references import References

    know_packages()
    path = config_path(path)
    try:
        cfg = Config.fromfile(path)
    except Exception as error:
        raise UserError(reading_error(path, error)) from error
    cfg._cfg_dict.setdefault('default_scope', 'mmxf')
    locations = Locations.of(path)
    problems = apply_options(cfg, options or {}, locations)
    references = References(cfg._cfg_dict, locations)
    problems += references.resolve()
    if check:
        from .check import check_config

        problems += check_config(cfg, locations, references.used | names_read(path))
    if problems:
        raise ConfigError(path, problems)
    for name in unread_variables(cfg, options or {}, references.used):
        import warnings

        warnings.warn(
            f'--cfg-options {name}=...: nothing reads {name!r} once the file is read: this changes nothing; '
            f'override the keys it was copied to, or write ${{{name}}} in the config',
            stacklevel=2,
        )
    return cfg


def reading_error(path: str, error: Exception) -> str:
    """Why a file could not be read, with the line of the config that failed."""
    from .locations import base_files, shown

    if isinstance(error, SyntaxError):
        return f'{shown(path)}: {error}'
    if isinstance(error, FileNotFoundError):
        return f'{shown(path)}: a file that the config inherits from is missing: {error}'
    place, frame = shown(path), error.__traceback__
    own = {os.path.abspath(file) for file in (path, *base_files(path))}
    while frame is not None:
        if frame.tb_frame.f_code.co_filename in own:
            place = f'{shown(frame.tb_frame.f_code.co_filename)}:{frame.tb_lineno}'
        frame = frame.tb_next
    message = error.args[0] if isinstance(error, KeyError) and error.args else error
    return f'{place}: {type(error).__name__}: {message}'


def config_path(path: str | os.PathLike) -> str:
    """The file that ``path`` names.

    Raises:
        UserError: when there is none, with the nearest file names beside it.
    """
    path = os.path.expanduser(str(path))
    if '::' in path:
        from mmengine.config import Config

        return Config._get_cfg_path(path, '')[0]
    if not os.path.isfile(path):
        folder = Path(path).parent
        beside = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        near = nearest(Path(path).name, beside)
        hint = f'; did you mean {" or ".join(str(folder / name) for name in near)}?' if near else ''
        raise UserError(f'{path}: no such config file{hint}')
    return path


def know_packages() -> None:
    """Lets ``_base_ = 'mmseg::...'`` find mmseg by import name, where mmengine asks for a distribution of
    upstream's name, and ``'mmxf::...'`` the configs that an installed mmxf carries."""
    from mmengine.config import utils

    for module in ('mmseg', 'mmdet', 'mmxf'):
        utils.MODULE2PACKAGE[module] = module


def names_read(path: str) -> set[str]:
    """Names that the config and its bases read as variables (``lr`` in ``dict(lr=lr)``, ``x`` in
    ``_base_.x``)."""
    import ast

    from .locations import base_files

    names: set[str] = set()
    for file in [path, *base_files(path)]:
        if not file.endswith('.py'):
            continue
        for node in ast.walk(ast.parse(Path(file).read_text(encoding='utf-8'))):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, ast.Attribute):
                names.add(node.attr)
    return names
