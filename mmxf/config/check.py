"""Validation of a whole config before anything is built.

Every ``type`` is looked up in the registry its place belongs to, every key is held against the constructor it
goes to. All problems are returned at once. What cannot be known (a dict that a class unpacks by itself,
keywords kept for later) is left alone: a correct config must pass.
"""

from __future__ import annotations

from typing import Any

from .contexts import DEFAULT_HOOKS, SECTIONS, TOGETHER
from .errors import Problem, did_you_mean, is_misspelling
from .locations import Locations
from .nodes import NodeChecker, Path, listed
from .runner_keys import RUNNER_KEYS
from .signatures import Signature, described, signature_of, strings_of


def check_config(cfg: Any, locations: Locations | None = None, read_names: set[str] = frozenset()) -> list[Problem]:
    """Checks a loaded config.

    Args:
        cfg: mmengine ``Config`` or dict, references resolved.
        locations: where its keys were written; default: the files named by ``cfg.filename`` are searched.
        read_names: top-level names that other parts of the config read; those are never called misspelt.

    Returns:
        All problems, in the order of the config; empty when it is right.
    """
    locations = locations or Locations.of(getattr(cfg, 'filename', None) or '<config>')
    return Checker(getattr(cfg, '_cfg_dict', cfg), locations, read_names).check()


class Checker(NodeChecker):
    """One pass over one config."""

    def __init__(self, root: dict, locations: Locations, read_names: set[str] = frozenset()) -> None:
        super().__init__(root, locations)
        self.read_names = read_names

    def check(self) -> list[Problem]:
        self._top_level()
        for path, allowed in SECTIONS.items():
            self._section(path, allowed)
        sections = {
            'model': ('MODELS',),
            'data_preprocessor': ('MODELS',),
            'visualizer': ('VISUALIZERS',),
            'log_processor': ('LOG_PROCESSORS',),
            'tta_model': ('MODELS',),
        }
        for key, registry in sections.items():
            supplied = {'module'} if key == 'tta_model' else set()
            if key == 'log_processor':
                self._with_default(key, 'LogProcessor', registry)
            else:
                self._node(
                    self.root.get(key),
                    (key,),
                    registry,
                    supplied=supplied,
                    complete=key != 'data_preprocessor',
                )
        self._with_default('model_wrapper_cfg', 'MMDistributedDataParallel', ('MODEL_WRAPPERS',))
        for key in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            for path, loader in self._each(key):
                self._dataloader(loader, path)
        for key in ('train_cfg', 'val_cfg', 'test_cfg'):
            self._loop(key)
        for key in ('val_evaluator', 'test_evaluator'):
            for path, evaluator in self._each(key):
                self._evaluator(evaluator, path)
        self._optim_wrapper()
        for path, scheduler in self._each('param_scheduler'):
            if isinstance(scheduler, dict) and 'type' not in scheduler:  # one list for each optimizer
                self._walk(scheduler, path, ('PARAM_SCHEDULERS',), None, (), None)
            else:
                self._node(scheduler, path, ('PARAM_SCHEDULERS',), complete=True)
        self._hooks()
        self._node(self.root.get('tta_pipeline'), ('tta_pipeline',), ('TRANSFORMS',), complete=True)
        return self.problems

    # Sections of the runner.

    def _top_level(self) -> None:
        for key in self.root:
            if key in RUNNER_KEYS or key in self.read_names or not isinstance(key, str):
                continue
            slips = [right for right in RUNNER_KEYS if is_misspelling(key, right)]
            if slips:
                self._report(
                    (key,),
                    'the runner has no such key, and nothing in the config reads it' + did_you_mean(key, slips),
                )
        if 'model' not in self.root:
            return
        for group in TOGETHER:
            given = [key for key in group if self.root.get(key) is not None]
            missing = [key for key in group if key not in given]
            if given and missing:
                self._report(
                    (given[0],),
                    f'{", ".join(group)} come together or not at all; {" and ".join(missing)} is missing',
                )

    def _section(self, path: Path, allowed: set[str]) -> None:
        node: Any = self.root
        for part in path:
            node = node.get(part) if isinstance(node, dict) else None
        for key in node if isinstance(node, dict) else ():
            if key not in allowed:
                self._report((*path, key), f'{".".join(path)} takes {listed(allowed)}' + did_you_mean(key, allowed))

    def _each(self, key: str) -> list[tuple[Path, Any]]:
        """The section itself, or the elements of a list of such."""
        value = self.root.get(key)
        if isinstance(value, (list, tuple)):
            return [((key, str(i)), item) for i, item in enumerate(value)]
        return [] if value is None else [((key,), value)]

    def _with_default(self, key: str, kind: str, registry: tuple[str, ...]) -> None:
        node = self.root.get(key)
        if isinstance(node, dict):
            self._node({'type': kind, **node}, (key,), registry, complete=True)

    def _dataloader(self, loader: Any, path: Path) -> None:
        if not isinstance(loader, dict):
            return
        from torch.utils.data import DataLoader

        scope = loader.get('_scope_')
        if 'type' not in loader:
            own = Signature()
            own.add(signature_of(DataLoader), {'shuffle'} if loader.get('sampler') is not None else set())
            own.required = {'dataset'}
            for key in ('num_batch_per_epoch', 'disable_subprocess_warning'):
                own.names[key] = own.names['dataset']
            self._keys(
                loader,
                path,
                own,
                'mmengine.runner.runner:Runner.build_dataloader',
                set(),
                set(),
                complete=True,
            )
        registries = {
            'dataset': ('DATASETS',),
            'sampler': ('DATA_SAMPLERS',),
            'batch_sampler': ('DATA_SAMPLERS',),
            'collate_fn': ('FUNCTIONS',),
            'worker_init_fn': ('FUNCTIONS',),
        }
        for key, registry in registries.items():
            self._node(loader.get(key), (*path, key), registry, scope, complete=True)

    def _loop(self, key: str) -> None:
        for path, loop in self._each(key):
            if not isinstance(loop, dict):
                continue
            default = {'val_cfg': 'ValLoop', 'test_cfg': 'TestLoop'}.get(key)
            loop = dict(loop)
            if 'type' in loop and 'by_epoch' in loop:
                self._report((*path, 'by_epoch'), "'type' and 'by_epoch' exclude each other; remove one of them")
                del loop['by_epoch']
            if 'type' not in loop and key == 'train_cfg':
                if 'by_epoch' not in loop:
                    slip = did_you_mean('by_epoch', loop).replace('did you mean', 'is it')
                    self._report(path, "needs 'type' (EpochBasedTrainLoop or IterBasedTrainLoop) or 'by_epoch'" + slip)
                    continue
                default = 'EpochBasedTrainLoop' if loop.pop('by_epoch') else 'IterBasedTrainLoop'
            loop.setdefault('type', default)
            self._node(loop, path, ('LOOPS',), complete=True)

    def _evaluator(self, evaluator: Any, path: Path) -> None:
        if isinstance(evaluator, dict) and 'metrics' in evaluator:
            evaluator = {'type': 'Evaluator', **evaluator}
            self._node(evaluator, path, ('EVALUATOR',), complete=True)
        else:
            self._node(evaluator, path, ('METRICS',), complete=True)

    def _optim_wrapper(self) -> None:
        wrapper, path = self.root.get('optim_wrapper'), ('optim_wrapper',)
        if not isinstance(wrapper, dict):
            return
        scope = wrapper.get('_scope_')
        kind = wrapper.get('constructor', 'DefaultOptimWrapperConstructor')
        constructor = self.registries.find('OPTIM_WRAPPER_CONSTRUCTORS', kind, scope)
        if constructor is None:
            self._unknown_type((*path, 'constructor'), kind, 'OPTIM_WRAPPER_CONSTRUCTORS', scope)
        if 'optimizer' not in wrapper and 'constructor' in wrapper:  # several optimizers, laid out by the constructor
            self._walk(wrapper, path, ('OPTIM_WRAPPERS',), scope, (), None)
            return
        own = {key: value for key, value in wrapper.items() if key not in ('constructor', 'paramwise_cfg')}
        self._node(
            {'type': 'OptimWrapper', **own},
            path,
            ('OPTIM_WRAPPERS',),
            scope,
            complete=True,
            extra={'optimizer', 'constructor', 'paramwise_cfg'},
        )
        if 'optimizer' not in wrapper:
            self._report((*path, 'type'), "needs 'optimizer'", at_parent=True)
        paramwise = wrapper.get('paramwise_cfg')
        if constructor is None or not isinstance(paramwise, dict):
            return
        # Constructors read these keys by name: what their source never mentions is read by nobody.
        words = strings_of(constructor)
        for key, value in paramwise.items():
            if key not in words:
                self._report(
                    (*path, 'paramwise_cfg', key),
                    f'{described(constructor)} reads no {key!r}' + did_you_mean(key, words),
                )
            if key == 'custom_keys' and isinstance(value, dict):
                for name, settings in value.items():
                    for setting in settings if isinstance(settings, dict) else ():
                        if setting not in words:
                            self._report(
                                (*path, 'paramwise_cfg', key, name, setting),
                                f'{described(constructor)} reads no {setting!r}' + did_you_mean(setting, words),
                            )

    def _hooks(self) -> None:
        hooks = self.root.get('default_hooks')
        for name, hook in hooks.items() if isinstance(hooks, dict) else ():
            slips = [right for right in DEFAULT_HOOKS if name not in DEFAULT_HOOKS and is_misspelling(name, right)]
            if slips:
                self._report(
                    ('default_hooks', name),
                    f'{name!r} would be added beside the default hooks' + did_you_mean(name, slips),
                )
            self._node(hook, ('default_hooks', name), ('HOOKS',), hooks.get('_scope_'), complete=True)
        for path, hook in self._each('custom_hooks'):
            self._node(hook, path, ('HOOKS',), complete=True)
