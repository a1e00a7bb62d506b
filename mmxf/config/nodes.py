"""One dict of a config against the class that its ``type`` names, and all that is inside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .contexts import FOREIGN, LAYER_KEYS, OPS_KEYS, REGISTRY_OF_KEY, STRICT_KEYS, SUPPLIED, TAKEN_OUT
from .errors import Problem, did_you_mean, edit_distance, is_misspelling
from .locations import Locations
from .registries import Registries
from .signatures import (
    Signature,
    classes_unpacking,
    described,
    keys_taken,
    signature_of,
    source_words,
    strings_of,
)

Path = tuple[str, ...]


class NodeChecker:
    """Collects the problems of typed dicts.

    Args:
        root: the config's dict.
        locations: where its keys were written.
    """

    def __init__(self, root: dict, locations: Locations) -> None:
        self.root = root
        self.locations = locations
        self.registries = Registries(root.get('default_scope'))
        self.problems: list[Problem] = []
        self._seen: set[tuple[str, str]] = set()

    def _node(
        self,
        node: Any,
        path: Path,
        registries: tuple[str, ...],
        scope: str | None = None,
        *,
        supplied: set[str] = frozenset(),
        extra: set[str] = frozenset(),
        complete: bool = False,
        ancestors: tuple[Callable, ...] = (),
    ) -> None:
        """Checks a value that is built from ``registries``, and all that is inside it.

        Args:
            supplied: arguments that the builder adds.
            extra: keys that the builder takes out.
            complete: the builder is known: only ``registries`` will do, and arguments may be missed.
            ancestors: classes around this dict, outermost first; they may add arguments to it and take keys out.
        """
        if isinstance(node, (list, tuple)):
            for i, item in enumerate(node):
                self._node(item, (*path, str(i)), registries, scope, supplied=supplied, extra=extra,
                           complete=complete, ancestors=ancestors)  # fmt: skip
            return
        if not isinstance(node, dict):
            return
        scope = node.get('_scope_') or scope
        key = next((part for part in reversed(path) if not part.isdigit()), '')
        kind = node.get('type')
        if 'type' not in node:
            self._missing_type(node, path, registries, scope, complete and not ancestors)
        if kind is None or not (isinstance(kind, str) or callable(kind)):
            self._walk(node, path, registries, scope, ancestors, None)
            return
        if key in OPS_KEYS and isinstance(kind, str):
            self._op(node, path, ancestors)
            return
        strict = complete or key in STRICT_KEYS
        where = self.registries.find_anywhere(registries, kind, scope, others=not strict)
        if where is None:
            if not any(kind in strings_of(ancestor) for ancestor in ancestors):  # a word of the owner's own
                self._unknown_type((*path, 'type'), kind, registries[0], scope)
            self._walk(node, path, registries, scope, ancestors, None)
            return
        registry, target = where
        if getattr(target, '__name__', '') in FOREIGN:
            return
        layer = key in LAYER_KEYS or key.endswith('_cfg')
        extra = {*extra, *TAKEN_OUT.get(registry, ()), *LAYER_KEYS.get(key, ())}
        if ancestors:
            extra |= keys_taken(ancestors[-1])
        supplied = {*supplied, *SUPPLIED.get(registry, ())}
        for ancestor in ancestors:
            supplied |= source_words(ancestor)
        signature = self._signature(target, node, scope)
        complete = complete or (bool(ancestors) and not layer and registry in ('MODELS', 'TRANSFORMS'))
        self._keys(node, path, signature, described(target), extra, supplied, complete)
        self._walk(node, path, (registry,), scope, (*ancestors, target), target)

    def _missing_type(
        self, node: dict, path: Path, registries: tuple[str, ...], scope: str | None, needed: bool
    ) -> None:
        """Reports a misspelt ``type``, and one that must be there."""
        for key, value in node.items():
            if isinstance(key, str) and isinstance(value, str) and edit_distance(key.lower(), 'type') <= 1:
                if self.registries.find_anywhere(registries, value, scope) is not None:
                    self._report((*path, key), f"{key!r} must be called 'type'")
                    return
        if needed:
            self._report(path, "needs a 'type'")

    def _op(self, node: dict, path: Path, ancestors: tuple[Callable, ...]) -> None:
        """Checks a dict whose type is an op: ``nms=dict(type='soft_nms')``, ``roi_layer=dict(type='RoIAlign')``."""
        import mmcv.ops

        target = getattr(mmcv.ops, node['type'], None)
        if callable(target):
            self._keys(node, path, signature_of(target), described(target), set(OPS_KEYS[path[-1]]), set(), False)
        elif not any(node['type'] in strings_of(ancestor) for ancestor in ancestors):
            self._report(
                (*path, 'type'), f'mmcv.ops has no {node["type"]!r}' + did_you_mean(node['type'], dir(mmcv.ops))
            )

    def _signature(self, target: Callable, node: dict, scope: str | None) -> Signature:
        """The target's signature, with what the class named by one of its parameters takes."""
        own = signature_of(target)
        if not own.typed:
            return own
        whole = Signature(open=own.open)
        whole.add(own, set())
        for name in own.typed:
            kind = node.get(name, own.defaults.get(name))
            found = self.registries.find_anywhere(('TRANSFORMS', 'MODELS'), kind, scope) if kind else None
            if found is None:
                whole.open = True
            else:
                inner = signature_of(found[1])
                whole.add(inner, set())
                whole.required -= inner.required - own.required
                whole.open |= bool(inner.typed)
        whole.typed = []
        return whole

    def _keys(
        self,
        node: dict,
        path: Path,
        signature: Signature,
        name: str,
        extra: set[str],
        supplied: set[str],
        complete: bool,
    ) -> None:
        allowed = {*signature.names, *extra, 'type', '_scope_'}
        for key in node:
            if key in allowed or not isinstance(key, str):
                continue
            if signature.open:
                slips = [right for right in signature.names if is_misspelling(key, right)]
                if slips:
                    self._report((*path, key), f'{name} has no {key!r}' + did_you_mean(key, slips))
            else:
                hint = did_you_mean(key, signature.names) or f'; it takes {listed(set(signature.names))}'
                self._report((*path, key), f'{name} takes no {key!r}' + hint)
        if complete:
            for key in signature.names:
                if key in signature.required and key not in node and key not in supplied:
                    self._report((*path, 'type'), f'{name} needs {key!r}, which is not given', at_parent=True)

    def _walk(self, node: dict, path: Path, registries: tuple[str, ...], scope: str | None,
              ancestors: tuple[Callable, ...], owner: Callable | None) -> None:  # fmt: skip
        """Checks the values of a dict: each in the registry that its key names, else in that of its owner."""
        unpacked = classes_unpacking(owner) if owner else {}
        ancestors = ancestors or ((owner,) if owner else ())
        for key, value in node.items():
            if key in ('type', '_scope_') or not isinstance(key, str):
                continue
            inner = REGISTRY_OF_KEY.get(key, registries)
            if registries == ('DATA_SAMPLERS',) or (inner == ('DATASETS',) and registries != inner):
                inner = registries
            where = (*path, key)
            if key in unpacked and isinstance(value, dict) and 'type' not in value:
                self._unpacked(value, where, registries, scope, ancestors, *unpacked[key])
            elif key.endswith('pipeline'):
                self._node(value, where, ('TRANSFORMS',), scope, complete=True)
            elif inner == ('DATASETS',) and key in ('dataset', 'datasets'):
                self._node(value, where, inner, scope, complete=True)
            else:
                self._node(value, where, inner, scope, ancestors=ancestors)

    def _unpacked(self, node: dict, path: Path, registries: tuple[str, ...], scope: str | None,
                  ancestors: tuple[Callable, ...], target: Callable, passed: frozenset[str]) -> None:  # fmt: skip
        """Checks a dict without type that its owner hands to a class of its own: ``Encoder(**encoder)``."""
        supplied = set(passed)
        for ancestor in ancestors:
            supplied |= source_words(ancestor)
        extra = set(keys_taken(ancestors[-1]))
        self._keys(node, path, self._signature(target, node, scope), described(target), extra, supplied, False)
        self._walk(node, path, registries, scope, (*ancestors, target), target)

    # Reports.

    def _unknown_type(self, path: Path, kind: str, registry: str, scope: str | None) -> None:
        library = self.registries.missing_library(kind)
        if library:
            self._report(path, f'{kind!r}: there is no library {library!r} installed')
            return
        shown_scope = scope or self.registries.default_scope
        near = self.registries.suggest(registry, kind, scope)
        hint = f'; did you mean {" or ".join(map(repr, near[:3]))}?' if near else ''
        label = self.registries.registry(registry, scope).name
        self._report(path, f'no {label} is called {kind!r} (scope {shown_scope!r}){hint}')

    def _report(self, path: Path, message: str, at_parent: bool = False) -> None:
        where = self.locations.where(path)
        key = '.'.join(path[:-1] if at_parent else path)
        if (where, message) not in self._seen:  # a pipeline shared by three dataloaders is one mistake
            self._seen.add((where, message))
            self.problems.append(Problem(key, where, message))


def listed(names: set[str]) -> str:
    shown = sorted(names)
    return (', '.join(shown[:12]) + (', ...' if len(shown) > 12 else '')) if shown else 'no arguments'
