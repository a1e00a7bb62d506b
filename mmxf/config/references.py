"""``'${name}'`` in a config: one value, written in one place.

A string that is only a reference becomes the value itself, type kept; inside a longer string the value is
formatted. ``${a.b.0}`` walks into dicts and lists. ``${num_classes}`` and ``${thing_labels}``, unless the config
has such a key, are the number of classes of the training data set and the indices of those that are things, taken
from its metainfo; ``${skeleton}`` is a dict of the keys of its metainfo that describe joints and bones. References are
resolved after all merging and after ``--cfg-options``.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from .errors import Problem, did_you_mean
from .locations import Locations

REFERENCE = re.compile(r'\$\{([^{}]*)\}')

# Keys of a metainfo that ${skeleton} takes along (mmxf.structures.skeleton, not imported here: it would load numpy).
SKELETON_KEYS = ('joints', 'edges', 'left_joints', 'right_joints', 'root_joints', 'joint_weights')

# What follows from the metainfo of the training data set, unless the config has such a key itself.
DERIVED = {
    'num_classes': lambda metainfo: len(metainfo['classes']),
    # Indices of the classes that are things; without a list of things all are.
    'thing_labels': lambda metainfo: [
        label
        for label, name in enumerate(metainfo['classes'])
        if name in metainfo.get('thing_classes', metainfo['classes'])
    ],
    'skeleton': lambda metainfo: {key: metainfo[key] for key in SKELETON_KEYS if metainfo.get(key) is not None},
}


class _Failed(Exception):
    """A reference that cannot be resolved; the message is the user's."""


class References:
    """Resolves the references of one config in place.

    Args:
        root: the config's dict; values are replaced in it.
        locations: where the keys were written.
    """

    def __init__(self, root: dict, locations: Locations) -> None:
        self.root = root
        self.locations = locations
        self.problems: list[Problem] = []
        self.used: set[str] = set()
        self._open: list[str] = []  # references being resolved, outermost first
        self._failed: set[str] = set()

    def resolve(self) -> list[Problem]:
        """Replaces every reference; returns those that could not be (their strings stay as they were)."""
        for key in list(self.root):
            dict.__setitem__(self.root, key, self._value(dict.__getitem__(self.root, key), (key,)))
        return self.problems

    def _value(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, dict):
            for key in list(value):
                dict.__setitem__(value, key, self._value(dict.__getitem__(value, key), (*path, str(key))))
            return value
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return type(value)(self._value(item, (*path, str(i))) for i, item in enumerate(value))
        if isinstance(value, str) and '${' in value:
            try:
                return self._string(value)
            except _Failed as error:
                problem = Problem('.'.join(path), self.locations.where(path), str(error))
                if problem not in self.problems:
                    self.problems.append(problem)
        return value

    def _string(self, text: str) -> Any:
        whole = REFERENCE.fullmatch(text)
        if whole:
            return copy.deepcopy(self._named(whole[1].strip()))
        return REFERENCE.sub(lambda match: str(self._named(match[1].strip())), text)

    def _named(self, name: str) -> Any:
        if name in self._open:
            cycle = [*self._open[self._open.index(name) :], name]
            raise _Failed('the references go in a circle: ' + ' -> '.join(f'${{{item}}}' for item in cycle))
        self.used.add(name.split('.')[0])
        self._open.append(name)
        try:
            if name in DERIVED and name not in self.root:
                return DERIVED[name](self._metainfo(name))
            return self._finished(self._find(name))
        finally:
            self._open.pop()

    def _find(self, name: str) -> Any:
        node: Any = self.root
        walked = []
        for part in name.split('.'):
            if isinstance(node, dict) and part in node:
                node = dict.__getitem__(node, part)
            elif isinstance(node, (list, tuple)) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            else:
                choices = list(node) if isinstance(node, dict) else []
                choices += list(DERIVED) if not walked else []
                inside = f' in {".".join(walked)}' if walked else ' at the top level of the config'
                raise _Failed(
                    f'${{{name}}} refers to no key: there is no {part!r}{inside}' + did_you_mean(part, choices)
                )
            walked.append(part)
        return node

    def _finished(self, value: Any) -> Any:
        """The value with the references inside it resolved (in a copy: the place itself has its own turn)."""
        if isinstance(value, dict):
            result = copy.copy(value)
            for key in list(result):
                dict.__setitem__(result, key, self._finished(dict.__getitem__(value, key)))
            return result
        if type(value) in (list, tuple):
            return type(value)(self._finished(item) for item in value)
        if isinstance(value, str) and '${' in value:
            return self._string(value)
        return value

    def _metainfo(self, name: str) -> dict:
        """Of the training data set: what the config gives it, else what its class declares."""
        for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset = (dict.get(self.root, loader) or {}).get('dataset')
            if dataset:
                break
        else:
            raise _Failed(
                f'${{{name}}} is that of train_dataloader.dataset, and the config has none; '
                f'write {name} = ... at the top level'
            )
        while (
            isinstance(dataset, dict) and 'metainfo' not in dataset and ('dataset' in dataset or 'datasets' in dataset)
        ):
            dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
        given = self._finished(dataset.get('metainfo')) or {}
        given = given if isinstance(given, dict) else {}
        needed = 'joints' if name == 'skeleton' else 'classes'
        # A data set that is given classes alone keeps the rest of what its class declares, things included.
        if name == 'skeleton' or given.get('classes') is None or (name == 'thing_labels' and 'thing_classes' not in given):
            from .registries import Registries

            found = Registries(dict.get(self.root, 'default_scope')).find(
                'DATASETS', dataset.get('type'), dataset.get('_scope_')
            )
            given = {**(getattr(found, 'METAINFO', None) or {}), **given}
        if isinstance(given.get('classes'), str):  # mmengine: a file with one class a line
            from mmengine.fileio import list_from_file

            given = {**given, 'classes': list_from_file(given['classes'])}
        if given.get(needed) is None:
            raise _Failed(
                f'${{{name}}}: the data set {dataset.get("type")!r} names no {needed}; give it '
                f'metainfo=dict({needed}=...), or write {name} = ... at the top level'
            )
        return given
