"""``mmxf test CONFIG CHECKPOINT`` and ``tools/test.py``: evaluates a model."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from ._session import add_session_arguments, existing_file, open_session, run_session

SUMMARY = 'Evaluate a checkpoint'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Arguments as in OpenMMLab's tools/test.py."""
    parser = argparse.ArgumentParser(description="Evaluate a checkpoint on a config's test set.")
    parser.add_argument('config', metavar='CONFIG', help='config file')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', help='checkpoint file')
    parser.add_argument(
        '--out', metavar='FILE', help='.json: write the metrics there; .pkl: write the predictions there'
    )
    parser.add_argument(
        '--show-dir', metavar='DIR', help='draw image, ground truth and prediction of each image into DIR, with a page index.html'
    )
    parser.add_argument(
        '--confusion', metavar='DIR', help='segmentation, detection: write confusion matrix and table of classes into DIR'
    )
    parser.add_argument(
        '--tta', action='store_true', help="test-time augmentation: the config's tta_model"
    )
    add_session_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; 0 when all went well, 1 after a plain error."""
    return run_session(run, parse_args(argv))


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Tests; returns the metrics."""
    from ._session import build_runner

    cfg = open_session(args)
    apply_arguments(cfg, args)
    runner = build_runner(cfg)
    if args.out and not args.out.endswith('.json'):
        runner.test_evaluator.metrics.append(prediction_dump(args.out))
    metrics = runner.test()
    if args.out and args.out.endswith('.json') and runner.rank == 0:
        write_metrics(metrics, args.out)
        runner.logger.info(f'metrics in {args.out}')
    if args.show_dir and runner.rank == 0:
        from mmxf.visualization.gallery import write_gallery

        page = write_gallery(args.show_dir, Path(args.config).stem, metrics)
        runner.logger.info(f'gallery: {page}' if page else f'nothing was drawn into {args.show_dir}: warnings above say why, or '
                           'this model predicts nothing that can be drawn')
    return metrics


def apply_arguments(cfg: Any, args: argparse.Namespace) -> None:
    """Writes the flags of ``test`` into the config.

    Raises:
        UserError: when the config lacks what a flag needs, or the checkpoint is not there.
    """
    from mmxf.config import UserError

    from ._outputs import check_file, check_folder

    missing = [key for key in ('test_dataloader', 'test_cfg', 'test_evaluator') if cfg.get(key) is None]
    if missing:
        raise UserError(f'{args.config} has no {" and no ".join(missing)}: it cannot be tested')
    if args.out and not args.out.endswith(('.json', '.pkl', '.pickle')):
        raise UserError(f'--out {args.out}: the name must end in .json (metrics) or .pkl (predictions)')
    check_file(args.out, '--out')
    check_folder(args.show_dir, '--show-dir')
    check_folder(args.confusion, '--confusion')
    cfg.load_from, cfg.resume = existing_file(args.checkpoint, 'checkpoint'), False
    if args.show_dir:
        draw_into(cfg, args.show_dir)
    if args.confusion:
        cfg.test_evaluator = add_confusion(cfg.test_evaluator, os.path.abspath(args.confusion), args.config)
    if args.tta:
        use_tta(cfg, args.config)


def use_tta(cfg: Any, name: str) -> None:
    """Wraps the model in ``tta_model``; test images go through ``tta_pipeline`` where the config has one.

    Raises:
        UserError: when the config has no ``tta_model``, or one of mmengine's kind, which takes several versions of an
            image, and no ``tta_pipeline`` that makes them.
    """
    from mmengine.config import ConfigDict
    from mmengine.model import BaseTTAModel

    from mmxf.config import UserError
    from mmxf.config.registries import Registries

    if cfg.get('tta_model') is None:
        raise UserError(f'--tta: {name} has no tta_model')
    pipeline = cfg.get('tta_pipeline')
    kind = Registries(cfg.get('default_scope')).find('MODELS', cfg.tta_model.type, cfg.tta_model.get('_scope_'))
    if pipeline is None and isinstance(kind, type) and issubclass(kind, BaseTTAModel):
        raise UserError(f'--tta: {name} has a tta_model ({cfg.tta_model.type}) but no tta_pipeline to feed it')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    if pipeline is not None:
        dataset = cfg.test_dataloader.dataset
        while 'pipeline' not in dataset and 'dataset' in dataset:
            dataset = dataset.dataset
        dataset.pipeline = pipeline


def draw_into(cfg: Any, folder: str) -> None:
    """Makes the run draw every test image into ``folder``: with the config's own hook where that is mmdet's
    or mmseg's, else with PanopticVisualizationHook."""
    folder = os.path.abspath(folder)
    hooks = dict(cfg.get('default_hooks') or {})
    kind = str((hooks.get('visualization') or {}).get('type', ''))
    if kind.endswith('DetVisualizationHook'):
        hooks['visualization'].update(draw=True, test_out_dir=folder)
    elif kind.endswith('SegVisualizationHook'):
        hooks['visualization'].update(draw=True)
        cfg.visualizer['save_dir'] = folder
    else:
        hooks = {name: hook for name, hook in hooks.items() if not _draws_panoptic(hook)}
        custom = [hook for hook in cfg.get('custom_hooks') or [] if not _draws_panoptic(hook)]
        cfg.custom_hooks = [
            *custom,
            {'type': 'mmxf.PanopticVisualizationHook', 'out_dir': folder, 'num_samples': -1},
        ]
    cfg.default_hooks = hooks


def add_confusion(evaluator: Any, folder: str, name: str) -> list:
    """The evaluators and one that makes a confusion matrix, which reads the truth where one of the others does.

    Raises:
        UserError: when none of them is of segmentation or detection.
    """
    from mmxf.config import UserError

    metrics = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
    if len(metrics) == 1 and isinstance(metrics[0].get('metrics'), list):
        metrics = list(metrics[0]['metrics'])
    found = {}
    for metric in metrics:
        kind = str(metric.get('type', '')).split('.')[-1]
        if kind in ('SemanticMetric', 'PanopticMetric'):
            keys = ('ann_file', 'seg_prefix', 'map_path', 'reduce_zero_label')
            found['SemanticConfusion'] = {key: metric[key] for key in keys if metric.get(key) is not None}
        elif kind == 'IoUMetric':
            found.setdefault('SemanticConfusion', {})
        elif kind in ('CocoMetric', 'InstanceMetric') and metric.get('ann_file') and not metric.get('seg_prefix'):
            found['DetectionConfusion'] = dict(ann_file=metric['ann_file'])
    if not found:
        raise UserError(f'--confusion: none of the test_evaluators of {name} is of segmentation or detection '
                        f'({", ".join(str(metric.get("type")) for metric in metrics)})')
    return metrics + [dict(type=f'mmxf.{kind}', out_dir=folder, **keys) for kind, keys in found.items()]


def _draws_panoptic(hook: Any) -> bool:
    return isinstance(hook, dict) and str(hook.get('type', '')).endswith('PanopticVisualizationHook')


def prediction_dump(path: str) -> Any:
    """The metric that writes all predictions into a pickle; masks run-length encoded where mmdet is in
    use."""
    if 'mmdet' in sys.modules:
        from mmdet.evaluation import DumpDetResults

        return DumpDetResults(out_file_path=path)
    from mmengine.evaluator import DumpResults

    return DumpResults(out_file_path=path)


def write_metrics(metrics: dict[str, Any], path: str) -> None:
    """Metrics as JSON, whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + '.part')
    part.write_text(json.dumps(metrics, indent=2, default=_plain) + '\n')
    part.replace(target)


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, 'tolist') else str(value)
