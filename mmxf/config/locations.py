"""Where every key of a config was written.

mmengine executes a config file and keeps the values only. To name file and line in a message, the files are
executed a second time with every dict replaced by one that remembers the line of each of its keys
(``TracedDict``); the dicts are then merged as mmengine merges them. Variables, ``**`` unpacking, loops,
``copy.deepcopy`` and ``_base_.x`` therefore need no special care: the lines travel with the dicts.
"""

from __future__ import annotations

import ast
import copy
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

COMMAND_LINE = 'command line'
Place = tuple[str, int]  # file (absolute, or COMMAND_LINE) and line; line 0 = unknown


class TracedDict(dict):
    """A dict that remembers where each of its keys was written: ``places[key] = (file, line)``."""

    def __init__(self, *args: Any, places: dict | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.places: dict[Any, Place] = places if places is not None else {}

    def __getattr__(self, name: str) -> Any:  # configs write _base_.model.backbone
        if name.startswith('__') or name not in self:
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if name == 'places':
            object.__setattr__(self, name, value)
        else:
            self[name] = value
            self.places[name] = caller()

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self.places[key] = caller()

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self.places[key] = caller()
        return super().setdefault(key, default)

    def update(self, *args: Any, **kwargs: Any) -> None:
        place = caller()
        for other in (*args, kwargs):
            other = other if isinstance(other, dict) else dict(other)
            for key, value in other.items():
                super().__setitem__(key, value)
                self.places[key] = places_of(other).get(key, place)

    def copy(self) -> TracedDict:
        return TracedDict(self, places=dict(self.places))

    __copy__ = copy

    def __deepcopy__(self, memo: dict) -> TracedDict:
        return TracedDict({key: copy.deepcopy(value, memo) for key, value in self.items()}, places=dict(self.places))

    def __or__(self, other: dict) -> TracedDict:
        return TracedDict({**self, **other}, places={**self.places, **places_of(other)})


def places_of(value: Any) -> dict[Any, Place]:
    return value.places if isinstance(value, TracedDict) else {}


def caller() -> Place:
    """File and line of the config statement being executed."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return (frame.f_code.co_filename, frame.f_lineno) if frame is not None else ('', 0)


class _TraceDicts(ast.NodeTransformer):
    """Rewrites ``dict(a=1, **b)`` and ``{'a': 1, **b}`` so that the line of each key is handed over."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id == 'dict'):
            return node
        parts = [ast.Tuple([_line(arg), arg], ast.Load()) for arg in node.args]
        for keyword in node.keywords:
            value = keyword.value
            if keyword.arg is not None:
                value = ast.Dict([ast.Constant(keyword.arg)], [value])
            parts.append(ast.Tuple([_line(keyword), value], ast.Load()))
        return self._traced(node, parts)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        parts = []
        for key, value in zip(node.keys, node.values, strict=True):
            parts.append(
                ast.Tuple([_line(key or value), value if key is None else ast.Dict([key], [value])], ast.Load())
            )
        return self._traced(node, parts)

    @staticmethod
    def _traced(node: ast.AST, parts: list[ast.expr]) -> ast.AST:
        call = ast.Call(ast.Name('__traced_dict__', ast.Load()), [ast.Constant(node.lineno), *parts], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))


def _line(node: ast.AST) -> ast.Constant:
    return ast.Constant(node.lineno)


def _traced_dict_maker(filename: str):
    def make(line: int, *parts: tuple[int, Any]) -> TracedDict:
        result = TracedDict()
        for part_line, part in parts:
            part = part if isinstance(part, dict) else dict(part)
            for key, value in part.items():
                dict.__setitem__(result, key, value)
                result.places[key] = places_of(part).get(key, (filename, part_line))
        return result

    return make


def trace_file(filename: str | os.PathLike) -> TracedDict:
    """Executes a config in mmengine's text dialect with all its bases and returns the merged dict with the
    place of each key. Values are those before ``--cfg-options`` and ``${...}``.

    Raises:
        whatever the config raises; ``ValueError`` for files that are not Python.
    """
    from mmengine.config import Config
    from mmengine.config.utils import RemoveAssignFromAST

    filename = os.path.abspath(os.path.expanduser(str(filename)))
    if not filename.endswith('.py'):
        raise ValueError(f'{filename}: only Python configs are traced')
    with tempfile.TemporaryDirectory() as folder:
        temporary = os.path.join(folder, 'config.py')  # the substitutions below keep the line numbers
        Config._substitute_predefined_vars(filename, temporary)
        Config._substitute_env_variables(temporary, temporary)
        base_variables = Config._pre_substitute_base_vars(temporary, temporary)
        base = TracedDict()
        for path in Config._get_base_files(temporary):
            traced = trace_file(Config._get_cfg_path(path, filename)[0])
            dict.update(base, traced)
            base.places.update(traced.places)
        tree = ast.parse(Path(temporary).read_text(encoding='utf-8'))
    tree = RemoveAssignFromAST('_base_').visit(tree)
    lines = {}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, 'target', None)]
        for target in targets:
            for name in ast.walk(target) if target is not None else ():
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    lines[name.id] = name.lineno
    tree = ast.fix_missing_locations(_TraceDicts().visit(tree))
    scope: dict[str, Any] = {'_base_': base, '__traced_dict__': _traced_dict_maker(filename)}
    exec(compile(tree, filename, 'exec'), scope)
    own = TracedDict()
    for key, value in scope.items():
        if key != '_base_' and not key.startswith('__') and not _is_code(value):
            dict.__setitem__(own, key, value)
            own.places[key] = (filename, lines.get(key, 0))
    return merge(_substitute(own, base_variables, base), base)


def _substitute(value: Any, names: dict[str, str], base: dict) -> Any:
    """Replaces the placeholders that mmengine puts for ``{{_base_.x}}``; keeps the places."""
    if isinstance(value, dict):
        for key, item in value.items():
            dict.__setitem__(value, key, _substitute(item, names, base))
    elif isinstance(value, (list, tuple)):
        return type(value)(_substitute(item, names, base) for item in value)
    elif isinstance(value, str) and value in names:
        found: Any = base
        for part in names[value].split('.'):
            found = found[part]
        return copy.deepcopy(found)
    return value


def _is_code(value: Any) -> bool:
    import types

    return isinstance(value, (types.FunctionType, types.ModuleType))


def merge(over: dict, under: dict) -> TracedDict:
    """``over`` merged into a copy of ``under`` as mmengine merges a config into its base (``_delete_``
    included)."""
    result = TracedDict(under, places=dict(places_of(under)))
    for key, value in over.items():
        place = places_of(over).get(key)
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not value.get('_delete_', False):
            value = merge(value, old)
        elif isinstance(value, dict) and key in result and value.get('_delete_', False):
            value = TracedDict({k: v for k, v in value.items() if k != '_delete_'}, places=dict(places_of(value)))
        dict.__setitem__(result, key, value)
        if place is not None:
            result.places[key] = place
    return result


class Locations:
    """Answers where a key of a loaded config was written.

    Args:
        filename: the config file.
        traced: result of ``trace_file``, or None: then the files are searched for the word (JSON, YAML and
        pure Python
            configs).
    """

    def __init__(self, filename: str, traced: TracedDict | None = None) -> None:
        self.filename = str(filename)
        self.traced = traced
        self.overridden: set[tuple[str, ...]] = set()

    @classmethod
    def of(cls, filename: str) -> Locations:
        """Traces ``filename``; a file that cannot be traced is searched by word instead."""
        try:
            return cls(filename, trace_file(filename))
        except Exception:  # mmengine has read the file already: the values are right, only lines are lost
            return cls(filename)

    def override(self, path: tuple[str, ...]) -> None:
        """Notes that ``path`` was given on the command line."""
        self.overridden.add(path)

    def where(self, path: tuple[str, ...]) -> str:
        """``file:line`` of the key at ``path``, or of the nearest key around it."""
        if any(path[: len(over)] == over for over in self.overridden):
            return COMMAND_LINE
        # A key whose dict the command line has created only as a container for deeper keys.
        if any(over[: len(path)] == path for over in self.overridden) and self._place(path, exact=True) is None:
            return COMMAND_LINE
        file, line = self._place(path) or self._search(path)
        return f'{shown(file)}:{line}' if line else shown(file)

    def _place(self, path: tuple[str, ...], exact: bool = False) -> Place | None:
        node: Any = self.traced
        place, found = None, 0
        for part in path:
            if isinstance(node, dict) and part in node:
                place = places_of(node).get(part) or place
                node = node[part]
            elif isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                break
            found += 1
        return None if exact and found < len(path) else place

    def _search(self, path: tuple[str, ...]) -> Place:
        word = next((part for part in reversed(path) if not part.isdigit()), None)
        if word is not None and os.path.isfile(self.filename):
            pattern = re.compile(rf'(?<![\w.]){re.escape(word)}["\']?\s*[=:]')
            for file in [self.filename, *base_files(self.filename)]:
                for number, line in enumerate(Path(file).read_text(encoding='utf-8').splitlines(), 1):
                    if pattern.search(line):
                        return file, number
        return self.filename, 0


def base_files(filename: str, depth: int = 0) -> list[str]:
    """Files that a config inherits from, in either dialect, nearest first."""
    found: list[str] = []
    if depth > 8 or not filename.endswith('.py'):
        return found
    from mmengine.config import Config

    filename = os.path.abspath(filename)
    tree = ast.parse(Path(filename).read_text(encoding='utf-8'))
    bases = []
    for base in Config._get_base_files(filename):
        try:
            bases.append(Config._get_cfg_path(base, filename)[0])
        except (ImportError, FileNotFoundError):  # of a library that is not installed
            continue
    for node in ast.walk(tree):  # pure Python dialect: with read_base(): from .x import *
        if isinstance(node, ast.ImportFrom) and node.module and node.level:
            bases.append(
                str(Path(filename).parents[node.level - 1].joinpath(*node.module.split('.')).with_suffix('.py'))
            )
    for base in bases:
        if os.path.isfile(base):
            found += [base, *base_files(base, depth + 1)]
    return found


def shown(path: str) -> str:
    """``path`` relative to the working directory where that is shorter."""
    if path == COMMAND_LINE:
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith('..') else relative
