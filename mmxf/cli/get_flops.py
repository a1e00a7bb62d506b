"""Count parameters and FLOPs of a config's model."""

import argparse

from ._errors import user_errors

SUMMARY = "Count a model's parameters and FLOPs"


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=SUMMARY,
        epilog='Matrix products and convolutions are counted, as torch.utils.flop_counter does: one '
        'multiply-add is 2 FLOPs. 1 GMAC (many papers write "GFLOPs" for it) is therefore 2 GFLOPs here.',
    )
    parser.add_argument(
        'config', metavar='CONFIG', help="config file, or 'mmdet::...' for one of mmdet's own"
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        default=None,
        metavar=('H', 'W'),
        help="input size; one number is a square (default: the config's image_size)",
    )
    parser.add_argument(
        '--device', default=None, help="'cpu' or 'cuda' computes for real (default: shapes only)"
    )
    parser.add_argument('--json', default=None, metavar='OUT', help='also write the numbers as JSON')
    parser.add_argument(
        '--cfg-options', nargs='+', default=None, metavar='KEY=VALUE', help='override config values'
    )
    args = parser.parse_args(argv)
    args.shape = check_shape(parser, args.shape)
    return args


def check_shape(parser, shape) -> tuple[int, int] | None:
    """One or two positive numbers -> (H, W)."""
    if shape is None:
        return None
    if len(shape) > 2 or min(shape) < 1:
        parser.error(f'--shape takes H W, or one number for a square, got {" ".join(map(str, shape))}')
    return (shape[0], shape[-1])


def count_flops(model, batch: dict) -> dict[str, int]:
    """FLOPs of a forward pass (``mode='tensor'``), by module name; '' is the whole model."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    # Gradients are on, so that models which fold norms into fused convolutions for inference, where the counter
    # sees nothing, run plainly; no parameter asks for one, so that none are kept. (An input that is itself a
    # parameter with a gradient, such as learned queries, would trip the counter, too.)
    model.requires_grad_(False)
    # torch's own list has the attention of GPUs, not that of the CPU.
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
                 lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v)}
    counter = FlopCounterMode(display=False, custom_mapping=attention)
    with torch.enable_grad(), counter:
        model(batch['inputs'], batch['data_samples'], mode='tensor')
    root = type(model).__name__
    counts = {
        name[len(root) + 1 :]: sum(ops.values())
        for name, ops in counter.get_flop_counts().items()
        if name.startswith(root + '.')
    }
    # A module whose forward() is called by name, or whose children are called one by one, is not seen by
    # the counter; it has at least what its children have. Children come after their parents in
    # named_modules, hence the reversal.
    for name, module in reversed(list(model.named_modules())):
        if name:
            inner = sum(counts.get(f'{name}.{child}', 0) for child, _ in module.named_children())
            counts[name] = max(counts.get(name, 0), inner)
    counts[''] = counter.get_total_flops()
    return counts


def count_with_fake_tensors(model, batch: dict) -> dict[str, int]:
    """:func:`count_flops` on shapes alone, nothing is computed. Fails for a model that looks at values."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        return count_flops(model, dict(batch, inputs=fake.from_tensor(batch['inputs'])))


def count_on_meta(model, batch: dict) -> dict[str, int]:
    """:func:`count_flops` on shapes alone, for models that ask for shapes as tensors, as mmdet's do."""
    return count_flops(model.to('meta'), dict(batch, inputs=batch['inputs'].to('meta')))


def count_without_products(model, batch: dict) -> dict[str, int]:
    """:func:`count_flops` on numbers, but what is counted is not computed: its results are zeros.

    For models that look at values, as two-stage detectors do where they choose boxes: what is left to compute takes seconds.
    Zeros make all boxes equal in score, and each stays where its anchor lies.
    """
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map_only
    from torch.utils.flop_counter import flop_registry

    class ZerosForProducts(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            packet = func.overloadpacket
            if packet not in flop_registry and packet is not torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
                return func(*args, **(kwargs or {}))
            shapes = func(*tree_map_only(torch.Tensor, lambda t: t.to('meta'), args),
                          **tree_map_only(torch.Tensor, lambda t: t.to('meta'), kwargs or {}))
            device = next(arg for arg in args if isinstance(arg, torch.Tensor)).device
            return tree_map_only(torch.Tensor, lambda t: torch.zeros_like(t, device=device), shapes)

    with ZerosForProducts():
        return count_flops(model, batch)


def count_parameters(module, skip_training_only: bool = False) -> int:
    """Parameters, each once, optionally without the modules that declare ``training_only = True``."""
    skipped = set()
    if skip_training_only:
        for part in module.modules():
            if getattr(part, 'training_only', False):
                skipped |= {id(p) for p in part.parameters()}
    return sum(p.numel() for p in module.parameters() if id(p) not in skipped)


def module_rows(model, flops: dict[str, int]) -> list[tuple[str, object]]:
    """Modules of the table: the top ones, and under a top one that is the model's larger part, its own
    children.
    """
    total, rows = count_parameters(model), []
    for name, child in model.named_children():
        if not count_parameters(child) and not flops.get(name):
            continue
        rows.append((name, child))
        inner = [
            (f'{name}.{n}', c)
            for n, c in child.named_children()
            if count_parameters(c) > 0.002 * total or flops.get(f'{name}.{n}', 0) > 0.002 * flops['']
        ]
        if 1 < len(inner) <= 12 and 'backbone' not in name:
            rows += inner
    return rows


def measure(args) -> dict:
    """Build the model and count; what ``--json`` writes."""
    import torch

    from mmxf.apis.init_model import build_model
    from mmxf.apis.synthetic import open_at_size, synthetic_batch
    from mmxf.config.overrides import parse_options

    cfg, shape = open_at_size(args.config, args.shape, parse_options(args.cfg_options))

    def fresh():
        model = build_model(cfg).eval().to(torch.device(args.device or 'cpu'))
        return model, synthetic_batch(model, cfg, shape)

    ways = (count_flops,) if args.device else (count_with_fake_tensors, count_on_meta, count_without_products, count_flops)
    for way in ways:
        model, batch = fresh()
        try:
            flops = way(model, batch)
            break
        except Exception:
            if way is ways[-1]:
                raise
    modules = [
        dict(
            name=name,
            parameters=count_parameters(module),
            flops=flops.get(name, 0),
            training_only=bool(getattr(module, 'training_only', False)),
        )
        for name, module in module_rows(model, flops)
    ]
    return dict(
        config=str(args.config),
        input=list(batch['inputs'].shape),
        unit='window of poses' if hasattr(model, 'skeleton') else 'image',
        parameters=count_parameters(model),
        parameters_inference=count_parameters(model, skip_training_only=True),
        flops=flops[''],
        gmacs=flops[''] / 2e9,
        modules=modules,
    )


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._outputs import check_file

    check_file(args.json, '--json')
    result = measure(args)
    width = max([len(m['name']) for m in result['modules']] + [16]) + 2
    print(f'{result["config"]}, input {"x".join(map(str, result["input"]))}')
    print(f'{"module":<{width}}{"parameters":>14}{"GFLOPs":>12}{"GMACs":>12}{"share":>8}')
    for m in result['modules']:
        depth = '  ' * m['name'].count('.')
        share = f'{100 * m["flops"] / max(1, result["flops"]):.1f}%'
        note = '   training only' if m['training_only'] else ''
        name = depth + m['name'].split('.')[-1]
        print(
            f'{name:<{width}}{m["parameters"]:>14,}{m["flops"] / 1e9:>12.2f}{m["flops"] / 2e9:>12.2f}'
            f'{share:>8}{note}'
        )
    print(
        f'{"all":<{width}}{result["parameters"]:>14,}{result["flops"] / 1e9:>12.2f}{result["gmacs"]:>12.2f}'
    )
    if result['parameters'] != result['parameters_inference']:
        print(
            f'{"for inference":<{width}}{result["parameters_inference"]:>14,}'
            '   without the parts that only train'
        )
    print(
        f'Forward pass of one {result["unit"]}. Matrix products, convolutions and attention are counted, one multiply-add '
        'as 2 FLOPs;\nGMACs are half of that. Sampling (deformable attention), norms and activations are not '
        'counted.'
    )
    if args.json:
        import json
        from pathlib import Path

        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(result, indent=1))
        print(f'numbers: {args.json}')
    return 0
