"""Top-level keys that mean something to the Runner or to the commands; all others are free variables of the
config."""

from __future__ import annotations

# Parameters of mmengine's Runner, and what it reads from the whole config.
RUNNER_KEYS = (
    'model',
    'work_dir',
    'train_dataloader',
    'val_dataloader',
    'test_dataloader',
    'train_cfg',
    'val_cfg',
    'test_cfg',
    'auto_scale_lr',
    'optim_wrapper',
    'param_scheduler',
    'val_evaluator',
    'test_evaluator',
    'default_hooks',
    'custom_hooks',
    'data_preprocessor',
    'load_from',
    'resume',
    'launcher',
    'env_cfg',
    'log_processor',
    'log_level',
    'visualizer',
    'default_scope',
    'randomness',
    'experiment_name',
    'runner_type',
    'model_wrapper_cfg',
    'sync_bn',
    'find_unused_parameters',
    'compile',
    'custom_imports',
    'tta_model',
    'tta_pipeline',
    'strategy',
    'efficient_conv_bn_eval',
    'activation_checkpointing',
)

# Names by custom, not read by the Runner.
FREE_KEYS = (
    'vis_backends',
    'backend_args',
    'file_client_args',
    'data_root',
    'dataset_type',
    'num_classes',
    'image_size',
)


def is_runner_key(name: str) -> bool:
    return name in RUNNER_KEYS
