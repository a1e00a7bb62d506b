"""From a config, and perhaps a checkpoint, to a model."""

from __future__ import annotations

import copy

from mmxf.config import UserError

from .checkpoint import load_weights


def open_config(config, options: dict | None = None, check: bool = True):
    """A config as mmengine's Config: of a path or ``'mmdet::mask2former/...'``, or a copy of the Config
    itself.

    Args:
        options: dotted key -> value, merged over it.
        check: have every type and key checked before anything is built.
    """
    from mmengine.config import Config

    if isinstance(config, Config):
        config = copy.deepcopy(config)
        if options:
            config.merge_from_dict(options)
        return config
    from mmxf.config import load_config

    return load_config(config, options, check=check)


def build_model(cfg, seed: int | None = None):
    """Build ``cfg.model`` in its config's scope. Weights are as the constructors leave them: nothing is
    downloaded.

    The model gets ``.cfg`` and ``.dataset_meta``.
    """
    import torch
    from mmengine.registry import MODELS, DefaultScope

    import mmxf.registry  # noqa: F401  (makes our scope known to mmengine's registries)
    if 'model' not in cfg:
        raise UserError(f'{cfg.filename or "the config"} has no model')
    model_cfg = copy.deepcopy(cfg.model)
    if 'data_preprocessor' in cfg and 'data_preprocessor' not in model_cfg:
        model_cfg.data_preprocessor = copy.deepcopy(cfg.data_preprocessor)
    if seed is not None:
        torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmxf')):
        model = MODELS.build(model_cfg)
        model.dataset_meta = dataset_meta(cfg)
    model.cfg = cfg
    return model


def innermost_dataset(dataset) -> dict | None:
    """The data set inside wrappers (RepeatDataset, MultiImageMixDataset, ConcatDataset: its first)."""
    while isinstance(dataset, dict):
        if isinstance(dataset.get('dataset'), dict):
            dataset = dataset['dataset']
        elif dataset.get('datasets'):
            dataset = dataset['datasets'][0]
        else:
            return dataset
    return None


def dataset_meta(cfg) -> dict:
    """Classes and colours of a config: ``classes``, ``thing_classes``, ``stuff_classes``, ``palette`` where
    known.

    Of the test, validation or training data set, the first that names classes. No annotation file is read.
    """
    from mmengine.registry import DATASETS

    import mmxf.registry  # noqa: F401

    # The registry of the config's own scope; get() on the root one would not look into its children.
    with DATASETS.switch_scope_and_registry(cfg.get('default_scope', 'mmxf')) as datasets:
        for split in ('test', 'val', 'train'):
            dataset = innermost_dataset((cfg.get(f'{split}_dataloader') or {}).get('dataset'))
            if dataset is None:
                continue
            kind = dataset.get('type')
            kind = datasets.get(kind) if isinstance(kind, str) else kind
            meta = dataset.get('metainfo')
            meta = meta.to_dict() if hasattr(meta, 'to_dict') else dict(meta or {})
            # The class's own rules for completing a metainfo; a classmethod, no data set is built.
            load = getattr(kind, '_load_metainfo', None)
            meta = load(meta) if load else meta
            if meta.get('classes'):
                return {key.lower(): value for key, value in meta.items() if value is not None}
    return {}


def init_model(
    config,
    checkpoint=None,
    device: str = 'cpu',
    cfg_options: dict | None = None,
    *,
    allow_pickle: bool = False,
):
    """Build a model for inference.

    Args:
        config: path of a config, ``'mmdet::...'``, or mmengine's Config.
        checkpoint: path of a checkpoint, or None for untrained weights. Loaded strictly, and weights only.
        device: 'cpu', 'cuda', 'cuda:1' ...
        cfg_options: dotted key -> value, merged over the config.
        allow_pickle: load a checkpoint that may run code; only for files you made or trust.

    Returns:
        The model in eval mode, with ``.cfg`` and ``.dataset_meta`` (dict with ``classes``, ``palette`` ...).

    Raises:
        UserError: the config or checkpoint is missing, or they do not fit; the message names files and keys.
    """
    import torch

    try:
        device = torch.device(device)
    except RuntimeError as error:
        raise UserError(f'device {device!r}: {error}') from None
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise UserError(f'device {device}: torch sees no GPU here; use device cpu')
    model = build_model(open_config(config, cfg_options))
    if checkpoint is not None:
        rest = load_weights(model, checkpoint, allow_pickle=allow_pickle)
        stored = rest.get('meta')
        if not model.dataset_meta.get('classes') and isinstance(stored, dict):
            model.dataset_meta = stored.get('dataset_meta') or model.dataset_meta
    return model.to(device).eval()
