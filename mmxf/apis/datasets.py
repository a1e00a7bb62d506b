"""Data sets of a config."""
from __future__ import annotations

from mmxf.config import UserError


def build_dataset(cfg, split: str):
    """The config's data set of a split, built in its scope.

    Raises:
        UserError: the config has no such split.
    """
    from mmengine.registry import DATASETS, DefaultScope

    import mmxf.registry  # noqa: F401  (makes our scope known to mmengine's registries)

    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise UserError(f'{cfg.filename} has no {split}_dataloader')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmxf')):
        dataset = DATASETS.build(loader.dataset)
        getattr(dataset, 'full_init', lambda: None)()
    return dataset
