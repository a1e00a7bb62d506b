"""Finding the class that a ``type`` of a config names, with mmengine's rules of scope, and the names near a
wrong one."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

from .errors import nearest

# Registries in which a type is looked for when its place says nothing, in this order.
FALLBACK = (
    'MODELS',
    'TASK_UTILS',
    'TRANSFORMS',
    'DATASETS',
    'METRICS',
    'HOOKS',
    'DATA_SAMPLERS',
    'WEIGHT_INITIALIZERS',
    'OPTIMIZERS',
    'OPTIM_WRAPPERS',
    'PARAM_SCHEDULERS',
    'VISUALIZERS',
    'VISBACKENDS',
    'LOOPS',
    'FUNCTIONS',
    'LOG_PROCESSORS',
    'EVALUATOR',
    'MODEL_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'INFERENCERS',
    'RUNNERS',
    'STRATEGIES',
)
# Libraries asked, when they are installed, for a name that the config's own scope does not have.
NEIGHBOURS = ('mmxf', 'mmdet', 'mmseg')


class Registries:
    """mmengine's root registries seen from a default scope. A library is imported when a scope or prefix
    names it.

    Args:
        default_scope: the config's ``default_scope``; None is mmengine's.
    """

    def __init__(self, default_scope: str | None) -> None:
        import mmengine.registry.root as root

        # mmcv registers layers and transforms in mmengine's registries; every class that builds them imports
        # these.
        for module in (
            'mmengine.runner',
            'mmengine.optim',
            'mmengine.visualization',
            'mmengine.evaluator',
            'mmengine.dataset',
            'mmengine.hooks',
            'mmengine.model',
            'mmcv.cnn',
            'mmcv.transforms',
        ):
            if importlib.util.find_spec(module.split('.')[0]):
                importlib.import_module(module)
        self.default_scope = default_scope or 'mmengine'
        self._root = {name: getattr(root, name) for name in FALLBACK}
        self._memory: dict[tuple, Any] = {}

    def registry(self, name: str, scope: str | None = None):
        """The registry ``name`` (e.g. ``'MODELS'``) of ``scope``, or mmengine's own when that library has
        none."""
        scope = scope or self.default_scope
        root = self._root[name]
        if scope == root.scope:
            return root
        self._import(scope)
        child = root._search_child(scope)
        return root if child is None else child  # an empty registry is falsy

    @staticmethod
    def _import(scope: str) -> bool:
        try:
            importlib.import_module(f'{scope}.registry')
        except ModuleNotFoundError as error:
            if error.name and scope.startswith(error.name.split('.')[0]):
                return False  # not installed, or no library at all (an import path such as torch.optim.AdamW)
            raise
        return True

    def find(self, name: str, kind: Any, scope: str | None = None) -> Callable | None:
        """The class or function that ``kind`` names in registry ``name``; None when there is none.

        Args:
            name: root registry, e.g. ``'MODELS'``.
            kind: a registered name, with or without prefix, an import path, or the class itself.
            scope: the ``_scope_`` in force, None for the default scope.
        """
        if not isinstance(kind, str):
            return kind if callable(kind) else None
        key = (name, kind, scope)
        if key not in self._memory:
            self._memory[key] = self._find(name, kind, scope)
        return self._memory[key]

    def _find(self, name: str, kind: str, scope: str | None) -> Callable | None:
        registry = self.registry(name, scope)
        prefix, _, rest = kind.partition('.')
        if rest and '.' not in rest and prefix.isidentifier():
            self._import(prefix)
        elif rest:
            return _by_path(kind)
        registry.import_from_location()  # outside the try below: a library that fails to import must say so
        try:
            found = registry.get(kind)
        except RuntimeError:  # "Failed to get": the name is an import path that does not exist
            found = None
        return found if callable(found) else None

    def find_anywhere(
        self, names: tuple[str, ...], kind: Any, scope: str | None = None, others: bool = True
    ) -> tuple[str, Callable] | None:
        """``find`` in ``names`` first and then, with ``others``, in every registry; which one it was, and the class."""
        for name in dict.fromkeys((*names, *(FALLBACK if others else ()))):
            found = self.find(name, kind, scope)
            if found is not None:
                return name, found
        return None

    def names(self, name: str, scope: str | None = None) -> list[str]:
        """All names that a config may write for registry ``name`` from ``scope`` without a prefix."""
        registry = self.registry(name, scope)
        result = []
        while registry is not None:
            registry.import_from_location()
            result += list(registry.module_dict)
            registry = registry.parent
        return result

    def missing_library(self, kind: str) -> str | None:
        """The prefix of ``kind`` when no such library is installed."""
        prefix, dot, _ = kind.partition('.')
        return prefix if dot and importlib.util.find_spec(prefix) is None else None

    def suggest(self, name: str, kind: str, scope: str | None = None) -> list[str]:
        """Right names near a wrong one, with the prefix that they need, e.g. ``['mmdet.ResNet']`` for
        ``'ResNet'``."""
        prefix, _, bare = kind.rpartition('.')
        if prefix and '.' not in prefix and self._import(prefix):
            own = self._root[name]._search_child(prefix)
            if own is not None:
                own.import_from_location()
                near = nearest(bare, own.module_dict)
                elsewhere = [f'{s}.{bare}' for s in NEIGHBOURS if s != prefix and self._has(name, s, bare)]
                return elsewhere + [f'{prefix}.{item}' for item in near]
            return []
        scope = scope or self.default_scope
        exact = [f'{other}.{kind}' for other in NEIGHBOURS if other != scope and self._has(name, other, kind)]
        near = nearest(kind, self.names(name, scope))
        if not exact and not near:
            for other in NEIGHBOURS:
                if other != scope and self._has(name, other, ''):
                    near += [f'{other}.{item}' for item in nearest(kind, self._own(name, other))]
        return exact + near

    def _own(self, name: str, scope: str) -> list[str]:
        own = self._root[name]._search_child(scope) if self._import(scope) else None
        if own is None or own.scope != scope:
            return []
        own.import_from_location()
        return list(own.module_dict)

    def _has(self, name: str, scope: str, kind: str) -> bool:
        own = self._own(name, scope)
        return kind in own if kind else bool(own)


def _by_path(path: str) -> Callable | None:
    """The object at an import path such as ``torch.optim.AdamW`` or ``mmengine.model.BaseModel``."""
    from mmengine.utils import get_object_from_string

    prefix = path.split('.')[0]
    if importlib.util.find_spec(prefix) is None:
        return None
    try:
        return get_object_from_string(path)
    except Exception:
        return None
