"""Imported once by the process that the toy runs are forked from: all that a Runner imports when it first needs it."""
import gc

import torch.distributed.run  # noqa: F401
import toy_training  # noqa: F401
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from mmengine.visualization import Visualizer  # noqa: F401

import mmxf.datasets.tolerant  # noqa: F401
import mmxf.registry

for _registry in vars(mmxf.registry).values():
    if isinstance(_registry, Registry):
        _registry.import_from_location()

# Formatting the config for every checkpoint and asking compilers for their versions take most of a toy run's time.
SHORTCUTS = [
    (Config, 'pretty_text', property(lambda self: repr(self._cfg_dict))),
    (Config, 'dump', lambda self, file=None: None),
    (Runner, '_log_env', lambda self, env_cfg: None),
]

gc.collect()
gc.freeze()                # each run's data sets look through all of it for garbage, otherwise
