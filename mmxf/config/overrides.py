"""``--cfg-options key=value``: parsing with mmengine's rules, merging, and noticing keys that nothing
reads."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from typing import Any

from .errors import Problem, UserError, did_you_mean, is_misspelling
from .locations import COMMAND_LINE, Locations
from .runner_keys import RUNNER_KEYS


def parse_options(pairs: Sequence[str] | None) -> dict[str, Any]:
    """``['a.b=1', 'c=[1,2]']`` -> ``{'a.b': 1, 'c': [1, 2]}``, with the value syntax of mmengine's
    ``DictAction``; a value with a dict in it (``[dict(type='A'), {'b': 1}]``) is written as in a config file.

    Raises:
        UserError: for a pair without ``=`` or with unbalanced brackets.
    """
    if not pairs:
        return {}
    from mmengine.config import DictAction

    options = {}
    for pair in pairs:
        key, equals, value = pair.partition('=')
        if not equals or not key:
            raise UserError(f'--cfg-options takes KEY=VALUE pairs, got {pair!r}')
        try:
            options[key] = _literal(value) if _has_dict(value) else DictAction._parse_iterable(value)
        except (AssertionError, TypeError, ValueError) as error:
            raise UserError(f'--cfg-options {pair}: {error}') from None
    return options


def _has_dict(text: str) -> bool:
    """Whether a dict stands in a value; braces of another use ('${name}', '{id:06d}.png') are text."""
    if text.startswith('{'):
        return text.endswith('}') and ':' in text
    return text.startswith('dict(') or text.startswith(('[', '(')) and ('dict(' in text or '{' in text)


def _literal(text: str) -> Any:
    """The value of a Python literal in which ``dict(a=1)`` may stand, too."""

    def value(node: ast.AST) -> Any:
        if isinstance(node, (ast.List, ast.Tuple)):
            return [value(item) for item in node.elts] if isinstance(node, ast.List) else tuple(map(value, node.elts))
        if isinstance(node, ast.Dict) and None not in node.keys:
            return {value(key): value(item) for key, item in zip(node.keys, node.values)}
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args
                and all(keyword.arg for keyword in node.keywords)):
            return {keyword.arg: value(keyword.value) for keyword in node.keywords}
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(f'{ast.unparse(node)} is no literal; names and calls other than dict(...) work in config files '
                             'alone, and text takes quotes here') from None

    try:
        return value(ast.parse(text, mode='eval').body)
    except SyntaxError as error:
        raise ValueError(f'not a Python literal ({error.msg}, column {error.offset})') from None


def apply_options(cfg: Any, options: dict[str, Any], locations: Locations) -> list[Problem]:
    """Merges ``options`` into the mmengine Config ``cfg`` in place and returns the keys that were wrong.

    A key may add what the config does not write (``model.backbone.with_cp``): whether its class takes it is
    the checker's to say. Wrong here: a top-level key that neither the config nor the Runner knows, a path
    through a value that is no dict, and a new key that is a misspelling of one beside it.
    """
    problems = []
    for key, value in options.items():
        path = tuple(key.split('.'))
        message = _problem(cfg, path)
        if message is None:
            try:
                cfg.merge_from_dict({key: value})
            except (TypeError, KeyError) as error:
                message = str(error.args[0] if error.args else error)
        if message is None:
            locations.override(path)
        else:
            problems.append(Problem(key, COMMAND_LINE, message))
    return problems


def _problem(cfg: Any, path: tuple[str, ...]) -> str | None:
    node: Any = cfg._cfg_dict
    for depth, part in enumerate(path):
        before = '.'.join(path[:depth])
        if isinstance(node, dict):
            if part not in node:
                if depth == 0:
                    if part in RUNNER_KEYS:
                        return None
                    return f'the config has no key {part!r}' + did_you_mean(part, [*node, *RUNNER_KEYS])
                names = [str(name) for name in node]
                if depth < len(path) - 1:  # a whole dict would be made
                    slips = difflib.get_close_matches(part, names, n=3, cutoff=0.7)
                else:
                    slips = [name for name in names if 'type' not in node and is_misspelling(part, name)]
                if slips:
                    return f'{before!r} has no key {part!r}' + did_you_mean(part, slips)
                return None
            node = dict.get(node, part)
        elif isinstance(node, (list, tuple)):
            if not part.isdigit():
                return f'{before!r} is a list of {len(node)}: it takes an index, not {part!r}'
            if int(part) >= len(node):
                return f'{before!r} has {len(node)} elements, counted from 0: there is no {part}'
            if isinstance(node, tuple):
                return f'{before!r} is a tuple: override it as a whole'
            node = node[int(part)]
        else:
            return f'{before!r} is {node!r}, not a dict: {part!r} cannot be set inside it'
    return None


def unread_variables(cfg: Any, options: dict[str, Any], referenced: set[str]) -> list[str]:
    """Top-level variables given on the command line that nothing reads, so that setting them does nothing.

    A plain variable such as ``data_root`` is copied into the dicts that name it when the file is read; only a
    ``${data_root}`` still sees the command line.
    """
    from .runner_keys import is_runner_key

    names = {key.split('.')[0] for key in options}
    return sorted(name for name in names if not is_runner_key(name) and name not in referenced)
