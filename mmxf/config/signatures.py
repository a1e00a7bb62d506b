"""Which keys a class takes: its constructor's signature, followed through ``**kwargs`` to where they go.

``def __init__(self, a, **kwargs): super().__init__(b=1, **kwargs)`` takes ``a`` and what the parent takes
except ``b``; ``self.cfg = dict(type=resize_type, **kwargs)`` takes what the class named by ``resize_type``
takes. Only where keywords end somewhere that cannot be known is a signature ``open``.
"""

from __future__ import annotations

import ast
import dis
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

EMPTY = inspect.Parameter.empty
UNPACKING_CALL = dis.opmap['CALL_FUNCTION_EX']


@dataclass
class Signature:
    """Keywords a callable takes.

    Attributes:
        names: parameter names that a config may write.
        required: those without default.
        open: True when further keywords are swallowed somewhere unknowable.
        typed: (name of a parameter whose value is a ``type``) for keywords that go to the class it names.
        defaults: default values, where known.
    """

    names: dict[str, inspect.Parameter] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    open: bool = False
    typed: list[str] = field(default_factory=list)
    defaults: dict[str, Any] = field(default_factory=dict)

    def add(self, other: Signature, without: set[str]) -> None:
        """Joins what ``other`` takes, except the keywords that the caller passes itself."""
        for name, parameter in other.names.items():
            if name not in without:
                self.names.setdefault(name, parameter)
                if name in other.required:
                    self.required.add(name)
                if name in other.defaults:
                    self.defaults.setdefault(name, other.defaults[name])
        self.open |= other.open
        self.typed += other.typed


@functools.cache
def signature_of(target: Callable) -> Signature:
    """The keywords that ``target`` (class, function or partial) takes."""
    if isinstance(target, functools.partial):
        inner = signature_of(target.func)
        result = Signature(open=inner.open, typed=inner.typed)
        result.add(inner, set())
        result.required -= set(target.keywords)
        for name in list(result.names)[: len(target.args)]:
            del result.names[name]
            result.required.discard(name)
        return result
    if inspect.isclass(target):
        return _constructor(target, target.__mro__)
    return _function(target, lambda call: None, drop_first=False)


def _constructor(cls: type, mro: tuple[type, ...]) -> Signature:
    """Signature of the first ``__init__`` in ``mro`` (the tail of ``cls.__mro__`` that a super() call
    sees)."""
    for index, owner in enumerate(mro):
        if '__init__' not in vars(owner):
            continue
        if owner is object or (owner.__module__ == 'torch.nn.modules.module' and owner.__name__ == 'Module'):
            return Signature()
        rest = mro[index + 1 :]

        def follow(call: ast.Call, owner=owner, rest=rest) -> Signature | None:
            return _super_call(call, cls, owner, rest)

        return _function(vars(owner)['__init__'], follow, drop_first=True)
    return Signature()


def _super_call(call: ast.Call, cls: type, owner: type, rest: tuple[type, ...]) -> Signature | None:
    """Signature behind ``super().__init__(...)``, ``super(X, self).__init__`` or ``Parent.__init__(self,
    ...)``."""
    function = call.func
    if not (isinstance(function, ast.Attribute) and function.attr == '__init__'):
        return None
    holder = function.value
    if isinstance(holder, ast.Call) and isinstance(holder.func, ast.Name) and holder.func.id == 'super':
        if holder.args and isinstance(holder.args[0], ast.Name) and holder.args[0].id != owner.__name__:
            named = [i for i, base in enumerate(cls.__mro__) if base.__name__ == holder.args[0].id]
            if named:
                rest = cls.__mro__[named[0] + 1 :]
        return _without_positional(_constructor(cls, rest), call, skip=0)
    if isinstance(holder, ast.Name):
        for base in cls.__mro__:
            if base.__name__ == holder.id:
                return _without_positional(_constructor(base, base.__mro__), call, skip=1)
    return None


def _without_positional(signature: Signature, call: ast.Call, skip: int) -> Signature:
    """Drops the parameters that the call fills by position (``skip`` of them are ``self``)."""
    given = [arg for arg in call.args if not isinstance(arg, ast.Starred)][skip:]
    taken = set(list(signature.names)[: len(given)])
    result = Signature(open=signature.open, typed=list(signature.typed))
    result.add(signature, taken)
    return result


def _function(function: Any, follow: Callable[[ast.Call], Signature | None], drop_first: bool) -> Signature:
    result = Signature()
    for name in _deprecated_names(function):
        _name(name, result)
    function = inspect.unwrap(function)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):  # builtins without a signature
        return Signature(open=True)
    if drop_first:
        parameters = parameters[1:]
    keywords = None
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            keywords = parameter.name
        elif parameter.kind is not parameter.VAR_POSITIONAL and parameter.kind is not parameter.POSITIONAL_ONLY:
            result.names[parameter.name] = parameter
            if parameter.default is EMPTY:
                result.required.add(parameter.name)
            else:
                result.defaults[parameter.name] = parameter.default
    if keywords is not None:
        _follow_keywords(function, keywords, follow, result)
    return result


def _follow_keywords(
    function: Any, keywords: str, follow: Callable[[ast.Call], Signature | None], result: Signature
) -> None:
    """Adds to ``result`` what becomes of ``**keywords`` in the body of ``function``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except (OSError, TypeError, SyntaxError):
        result.open = True
        return
    accounted: set[int] = set()  # ids of the Name nodes whose use is understood
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            accounted |= _follow_call(node, keywords, follow, function, result)
        elif isinstance(node, ast.Dict):  # dict(type=..., **kwargs) written with braces
            spread = [v for k, v in zip(node.keys, node.values, strict=True) if k is None and _is(v, keywords)]
            kind = [
                v
                for k, v in zip(node.keys, node.values, strict=True)
                if isinstance(k, ast.Constant) and k.value == 'type'
            ]
            if spread and _typed(kind[0] if kind else None, result):
                accounted |= {id(v) for v in spread}
        elif isinstance(node, ast.Subscript) and _is(node.value, keywords) and isinstance(node.slice, ast.Constant):
            _name(node.slice.value, result)
            accounted.add(id(node.value))
        elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant):
            for operator, other in zip(node.ops, node.comparators, strict=True):  # 'a' in kwargs
                if isinstance(operator, (ast.In, ast.NotIn)) and _is(other, keywords):
                    _name(node.left.value, result)
                    accounted.add(id(other))
    uses = [node for node in ast.walk(tree) if _is(node, keywords)]
    if not uses or any(id(node) not in accounted for node in uses):
        result.open = True  # swallowed silently, or kept for somewhere else


def _follow_call(
    call: ast.Call,
    keywords: str,
    follow: Callable[[ast.Call], Signature | None],
    function: Any,
    result: Signature,
) -> set[int]:
    """Handles one call that mentions the keywords; returns the ids of the mentions understood."""
    spread = [k.value for k in call.keywords if k.arg is None and _is(k.value, keywords)]
    if spread:
        passed = {k.arg for k in call.keywords if k.arg is not None}
        target = follow(call)
        if target is None and isinstance(call.func, ast.Name) and call.func.id == 'dict':
            kind = [k.value for k in call.keywords if k.arg == 'type']
            return {id(v) for v in spread} if _typed(kind[0] if kind else None, result) else set()
        if target is None and isinstance(call.func, ast.Name):
            found = function.__globals__.get(call.func.id)
            if callable(found) and found is not dict:
                target = _without_positional(signature_of(found), call, skip=0)
        if target is None:
            return set()
        result.add(target, passed)
        return {id(v) for v in spread}
    attribute = call.func
    if isinstance(attribute, ast.Attribute) and _is(attribute.value, keywords):
        if attribute.attr in ('get', 'pop', 'setdefault') and call.args and isinstance(call.args[0], ast.Constant):
            _name(call.args[0].value, result)
            return {id(attribute.value)}
        if attribute.attr == 'update' and not call.args:
            return {id(attribute.value)}
    return set()


def _deprecated_names(function: Any) -> list[str]:
    """Old names that mmengine's ``deprecated_api_warning`` around the function still takes."""
    code = getattr(function, '__code__', None)
    if code is None or not function.__closure__:
        return []
    variables = dict(zip(code.co_freevars, function.__closure__, strict=True))
    names = variables['name_dict'].cell_contents if 'name_dict' in variables else {}
    return list(names)


def _is(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _name(value: Any, result: Signature) -> None:
    if isinstance(value, str):
        result.names.setdefault(value, inspect.Parameter(value, inspect.Parameter.KEYWORD_ONLY, default=None))


def _typed(kind: ast.expr | None, result: Signature) -> bool:
    """Notes that the keywords go to the class which a parameter names."""
    if isinstance(kind, ast.Name) and kind.id in result.names:
        result.typed.append(kind.id)
        return True
    if isinstance(kind, ast.Attribute) and isinstance(kind.value, ast.Name) and kind.attr in result.names:
        result.typed.append(kind.attr)  # self.resize_type
        return True
    return False


@dataclass(frozen=True)
class Words:
    """Strings in a piece of source that could be names, keywords of its calls, and first arguments of ``pop`` and ``get``."""

    strings: frozenset[str] = frozenset()
    keywords: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()


@functools.cache
def _words_of(part: Callable) -> Words:
    """Of a function, or of a class without its bases."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
    except (OSError, TypeError, SyntaxError):
        return Words()
    strings, keywords, taken = set(), set(), set()
    for node in ast.walk(tree):
        if _word(node):
            strings.add(node.value)
        elif isinstance(node, ast.keyword) and node.arg is not None:
            keywords.add(node.arg)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ('pop', 'get'):
            taken |= {argument.value for argument in node.args[:1] if _word(argument)}
    return Words(frozenset(strings), frozenset(keywords), frozenset(taken))


def _all_words(target: Callable) -> list[Words]:
    """Of a class and its bases (torch's and Python's own left out), or of a function."""
    return [_words_of(part) for part in (target.__mro__ if inspect.isclass(target) else (target,))
            if getattr(part, '__module__', '').split('.')[0] not in ('torch', 'builtins')]


def _word(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()


@functools.cache
def strings_of(target: Callable) -> frozenset[str]:
    """Every string in the source of ``target`` that could be a name: the keys and kinds that it can possibly
    read."""
    return frozenset().union(*(words.strings for words in _all_words(target)))


@functools.cache
def source_words(target: Callable) -> frozenset[str]:
    """``strings_of`` and the keywords of all calls: the arguments that ``target`` can possibly hand to its
    parts."""
    return strings_of(target).union(*(words.keywords for words in _all_words(target)))


@functools.cache
def keys_taken(target: Callable) -> frozenset[str]:
    """Keys that ``target`` reads from or takes out of the dicts of its parts:
    ``loss.pop('bg_cls_weight')``."""
    return frozenset().union(*(words.taken for words in _all_words(target)))


@functools.cache
def classes_unpacking(owner: Callable) -> dict[str, tuple[Callable, frozenset[str]]]:
    """Which parameters of ``owner`` are unpacked into which class: ``self.encoder = Encoder(a=1, **encoder)``.

    Returns:
        parameter -> (the class, keywords passed besides); as the most derived class has it, and only where all its
        calls name one class.
    """
    found: dict[str, tuple[Callable, frozenset[str]] | None] = {}
    for part in owner.__mro__ if inspect.isclass(owner) else ():
        own: dict[str, tuple[Callable, frozenset[str]] | None] = {}
        for name, target, passed in _unpacking_calls(part):
            known = own.setdefault(name, (target, passed))
            if known is not None and known[0] is not target:
                own[name] = None
        found = {**own, **found}
    return {name: value for name, value in found.items() if value is not None}


def _unpacking_calls(cls: type) -> Iterator[tuple[str, type, frozenset[str]]]:
    """(parameter, class, further keywords) of each ``Class(**parameter)`` in the methods of ``cls`` itself."""
    for function in vars(cls).values():
        if not inspect.isfunction(function) or not _unpacks(function.__code__):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                target = function.__globals__.get(node.func.id)
                names = [_parameter(k.value, function) for k in node.keywords if k.arg is None]
                if inspect.isclass(target) and len(names) == 1 and names[0]:
                    yield names[0], target, frozenset(k.arg for k in node.keywords if k.arg)


def _unpacks(code: CodeType) -> bool:
    """False where no call unpacks anything, which most functions' bytecode says without their source being read."""
    return UNPACKING_CALL in code.co_code[::2] or any(isinstance(part, CodeType) and _unpacks(part) for part in code.co_consts)


def _parameter(node: ast.expr, function: Any) -> str | None:
    """The parameter behind ``name`` or ``self.name``."""
    if isinstance(node, ast.Attribute) and _is(node.value, 'self'):
        return node.attr
    if isinstance(node, ast.Name) and node.id in inspect.signature(function).parameters:
        return node.id
    return None


def described(target: Callable) -> str:
    """``module:Class``, for messages."""
    if isinstance(target, functools.partial):
        target = target.func
    return f'{getattr(target, "__module__", "?")}:{getattr(target, "__qualname__", target)}'
