"""``mmxf train CONFIG`` and ``tools/train.py CONFIG``: trains a model."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from ._early_signals import note_early_signals, stopped_before
from ._session import add_session_arguments, existing_file, open_session, run_session

SUMMARY = 'Train a model'
MIXED = 'mmxf.MixedPrecisionOptimWrapper'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Arguments as in OpenMMLab's tools/train.py, and a few more."""
    parser = argparse.ArgumentParser(
        description='Train a model from a config file; the config is checked first.'
    )
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help="continue exactly: from CHECKPOINT, or without one from the last in the run's folder",
    )
    parser.add_argument(
        '--amp', action='store_true', help='automatic mixed precision: bfloat16 where the GPU has it, else float16'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action=argparse.BooleanOptionalAction,
        default=None,
        help='scale the learning rate linearly from auto_scale_lr.base_batch_size to the real batch size (default: where the '
        'config states that size)',
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='do everything once: a step, the evaluation of one image, a checkpoint; print memory and time, and leave nothing',
    )
    parser.add_argument('--no-validate', action='store_true', help='no validation during training')
    parser.add_argument(
        '--val-loss', action='store_true', help='also report the loss on the validation set, from the pass that gives the metrics'
    )
    parser.add_argument(
        '--train-metrics',
        type=whole_number,
        default=0,
        metavar='N',
        help='also report the metrics on N samples of the training set at every validation',
    )
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    parser.add_argument(
        '--deterministic', action='store_true', help='deterministic algorithms (slower); lists operations that have none'
    )
    add_session_arguments(parser)
    return parser.parse_args(argv)


def whole_number(text: str) -> int:
    """A number of samples from the command line."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f'{text}: a number of samples, at least 0')
    return number


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 0 when the training has ended well, 1 after a plain error."""
    args = parse_args(argv)
    if not args.dry_run:
        note_early_signals(args.launcher)
    status = stopped_before()
    if status is not None:
        print('train: the run was told to stop, and has saved; torchrun starts it again in vain', file=sys.stderr)
        return status
    return run_session(run, args)


def run(args: argparse.Namespace) -> Any:
    """Trains; returns the Runner."""
    from ._session import build_runner

    cfg = open_session(args)
    apply_arguments(cfg, args)
    from mmxf.engine.elastic import resume_after_restart
    from mmxf.engine.scale_lr import install as install_scaling

    from . import _dry_run
    from ._banner import BannerHook

    decision = None if args.resume or args.dry_run else resume_after_restart(cfg)
    folder = _dry_run.prepare(cfg) if args.dry_run else None
    runner = build_runner(cfg)
    install_scaling(runner)
    if decision is not None:
        runner.logger.warning(decision)
    add_missing_hooks(runner)
    runner.register_hook(BannerHook())
    if folder is not None:
        _dry_run.run(runner, folder)
        return runner
    runner.train()
    return runner


def add_missing_hooks(runner: Any) -> None:
    """What every run should have, also one whose config comes from elsewhere."""
    from mmxf.engine.hooks import Float32LossHook, PreemptionHook

    for kind in (Float32LossHook, PreemptionHook):
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())


def apply_arguments(cfg: Any, args: argparse.Namespace) -> None:
    """Writes the flags of ``train`` into the config.

    Raises:
        UserError: when the config lacks what a flag needs, or the checkpoint to resume from is not there.
    """
    from mmxf.config import UserError

    missing = [key for key in ('train_dataloader', 'train_cfg', 'optim_wrapper') if cfg.get(key) is None]
    if missing:
        raise UserError(f'{args.config} has no {" and no ".join(missing)}: it cannot be trained')
    if args.amp:
        use_amp(cfg)
    if args.auto_scale_lr and 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise UserError(
            '--auto-scale-lr needs auto_scale_lr = dict(base_batch_size=N) in the config: the batch size '
            'that its learning rate was chosen for'
        )
    if args.auto_scale_lr is not None and cfg.get('auto_scale_lr'):
        cfg.auto_scale_lr.enable = args.auto_scale_lr
    if args.no_validate:
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    if args.val_loss or args.train_metrics:
        validate_thoroughly(cfg, args)
    randomness = dict(cfg.get('randomness') or {'seed': None})
    if args.seed is not None:
        randomness['seed'] = args.seed
    if args.deterministic:
        # Read when CUDA starts; without it cuBLAS's sums depend on which stream they run in.
        os.environ.setdefault('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
        cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='mmxf.DeterminismHook')]
        randomness['deterministic'] = False    # mmengine's would end the run where the hook lists
    cfg.randomness = randomness
    if args.resume == 'auto':
        cfg.resume, cfg.load_from = True, None
    elif args.resume:
        cfg.resume, cfg.load_from = True, existing_file(args.resume, 'checkpoint')


def validate_thoroughly(cfg: Any, args: argparse.Namespace) -> None:
    """Puts ThoroughValLoop in the place of the config's ValLoop.

    Raises:
        UserError: without a validation, or with a loop of another kind.
    """
    from mmxf.config import UserError

    if cfg.get('val_cfg') is None:
        raise UserError(f'--val-loss and --train-metrics need a validation, and {args.config} has none')
    kind = cfg.val_cfg.get('type', 'ValLoop')
    if kind not in ('ValLoop', 'mmengine.ValLoop', 'ThoroughValLoop', 'mmxf.ThoroughValLoop'):
        raise UserError(f'--val-loss and --train-metrics replace ValLoop; the config has {kind!r}')
    if 'Thorough' not in kind:
        cfg.val_cfg.update(type='mmxf.ThoroughValLoop', loss=args.val_loss)
    elif args.val_loss:
        cfg.val_cfg.loss = True
    if args.train_metrics:
        cfg.val_cfg.train_samples = args.train_metrics


def use_amp(cfg: Any) -> None:
    """Turns the config's optimizer wrapper into a MixedPrecisionOptimWrapper.

    Raises:
        UserError: without a GPU, or with a wrapper of another kind.
    """
    import torch

    from mmxf.config import UserError

    if not torch.cuda.is_available():
        raise UserError('--amp needs a GPU; leave it out to train in float32 on the CPU')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind in (MIXED, MIXED.partition('.')[2]):
        print('note: the config uses mixed precision already')
        return
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise UserError(f'--amp replaces OptimWrapper by {MIXED}; the config has {kind!r}')
    if kind == 'AmpOptimWrapper' and cfg.optim_wrapper.get('dtype') is not None:
        print(f'note: the config uses AmpOptimWrapper in {cfg.optim_wrapper.dtype} already')
        return
    cfg.optim_wrapper.type = MIXED
