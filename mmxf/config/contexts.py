"""What the places of a config say about their contents: the registry, keys that the builder adds or takes out
itself."""

from __future__ import annotations

# Key -> registries in which the dict under it is looked for first.
REGISTRY_OF_KEY = {
    'init_cfg': ('WEIGHT_INITIALIZERS',),
    'assigner': ('TASK_UTILS',),
    'initial_assigner': ('TASK_UTILS',),
    'alignment_assigner': ('TASK_UTILS',),
    'sampler': ('TASK_UTILS',),
    'bbox_coder': ('TASK_UTILS',),
    'anchor_generator': ('TASK_UTILS',),
    'prior_generator': ('TASK_UTILS',),
    'point_generator': ('TASK_UTILS',),
    'iou_calculator': ('TASK_UTILS',),
    'match_costs': ('TASK_UTILS',),
    'matcher': ('TASK_UTILS',),
    'transforms': ('TRANSFORMS',),
    'dataset': ('DATASETS',),
    'datasets': ('DATASETS',),
    'vis_backends': ('VISBACKENDS',),
    'optimizer': ('OPTIMIZERS',),
    'metrics': ('METRICS',),
}

# Keys whose dict is built by a helper that fills in arguments from its surroundings, and the keys that helper
# takes out.
LAYER_KEYS = {
    'norm_cfg': {'requires_grad'},
    'act_cfg': set(),
    'conv_cfg': {'fallback_on_stride'},
    'upsample_cfg': {'mode', 'scale_factor'},
    'padding_cfg': set(),
    'cfg': {'postfix'},
    'init_cfg': {'override'},
    'override': {'name'},
    'dropout_layer': set(),
    'upsample': set(),
    'dcn': {'fallback_on_stride'},
    'sac': {'fallback_on_stride'},
}

# Keys that leave no doubt: a type under them is looked for in their registry alone.
STRICT_KEYS = {'init_cfg', 'transforms', 'optimizer', 'vis_backends'}

# Keys whose ``type`` names something in mmcv.ops, and the keys that its caller takes out.
OPS_KEYS = {
    'nms': {'split_thr', 'class_agnostic'},
    'nms_cfg': {'split_thr', 'class_agnostic'},
    'roi_layer': set(),
}

# Classes whose nested dicts belong to another library.
FOREIGN = {'Albu'}

# Arguments that the code which builds a registry's classes passes by itself.
SUPPLIED = {
    'LOOPS': {'runner', 'dataloader', 'evaluator'},
    'OPTIMIZERS': {'params'},
    'OPTIM_WRAPPERS': {'optimizer'},
    'PARAM_SCHEDULERS': {'optimizer', 'epoch_length', 'end', 'param_name'},
    'DATA_SAMPLERS': {'dataset', 'sampler', 'batch_size', 'seed'},
    'MODEL_WRAPPERS': {'module', 'device_ids'},
    'VISUALIZERS': {'name', 'save_dir'},
    'VISBACKENDS': {'save_dir'},
    'OPTIM_WRAPPER_CONSTRUCTORS': {'optim_wrapper_cfg', 'paramwise_cfg'},
    'EVALUATOR': set(),
    'FUNCTIONS': {'data_batch', 'worker_id', 'num_workers', 'rank', 'seed'},
}

# Keys that a builder takes out before the constructor is called.
TAKEN_OUT = {
    'HOOKS': {'priority'},
    'PARAM_SCHEDULERS': {'convert_to_iter_based'},
}

# Plain sections of a config (no ``type``): the keys each takes.
SECTIONS = {
    ('env_cfg',): {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    ('env_cfg', 'mp_cfg'): {'mp_start_method', 'opencv_num_threads'},
    ('randomness',): {'seed', 'diff_rank_seed', 'deterministic'},
    ('auto_scale_lr',): {'enable', 'base_batch_size'},
    ('custom_imports',): {'imports', 'allow_failed_imports'},
}

DEFAULT_HOOKS = (
    'runtime_info',
    'timer',
    'sampler_seed',
    'logger',
    'param_scheduler',
    'checkpoint',
    'visualization',
)

# Runner arguments that come together or not at all.
TOGETHER = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)
