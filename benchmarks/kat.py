"""Speed of KAT's rational function, and of KAT beside the same ViT with GELU.

    python benchmarks/kat.py                                        # the function, at small sizes, on the CPU
    python benchmarks/kat.py --device cuda --dtype bfloat16 --shapes 1024x197x768 1024x197x3072
    python benchmarks/kat.py --model base --batch 64 --device cuda --dtype bfloat16

Bytes counted are those that must move: forward reads the input and writes the result; backward reads the input and the result's
gradient and writes the input's. The copy beside them reads and writes its tensor once. Runs of all rows alternate; medians.
"""
import argparse
import importlib.metadata
import statistics
import sys
import time
from collections.abc import Callable


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='benchmarks/kat.py', description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'bfloat16', 'float16'))
    parser.add_argument('--shapes', nargs='+', default=['16x197x768'], metavar='BxNxC')
    parser.add_argument('--groups', type=int, default=8)
    parser.add_argument('--model', choices=('tiny', 'small', 'base'), help='measure whole models, not the function')
    parser.add_argument('--batch', type=int, default=2, help='images, with --model (default: %(default)s)')
    parser.add_argument('--compile', action='store_true', help='through torch.compile')
    parser.add_argument('--runs', type=int, default=9)
    parser.add_argument('--threads', type=int, default=2, help="torch's threads (default: %(default)s)")
    return parser.parse_args(argv)


def measure(rows: dict[str, Callable[[], object]], runs: int, device: str) -> dict[str, float]:
    """Median seconds of each function; runs alternate."""
    import torch

    def wait() -> None:
        if device.startswith('cuda'):
            torch.cuda.synchronize()

    times: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(runs + 2):
        for name, function in rows.items():
            wait()
            start = time.perf_counter()
            function()
            wait()
            if turn >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def path_of(args: argparse.Namespace, x) -> str:
    """Which of the rational function's implementations takes such a tensor, with its version."""
    import torch

    from mmxf.ops import rational

    if args.compile:
        return f'torch.compile (torch {torch.__version__})'
    wide = torch.promote_types(x.dtype, torch.float32)
    numerator, denominator = (torch.ones(args.groups, n, dtype=wide, device=x.device) for n in (6, 4))
    path = rational._path(x, numerator, denominator, x.shape[-1] // args.groups).__name__.rpartition('.')[2]
    package = dict(rational_numba='numba', rational_triton='triton').get(path, 'torch')
    return f'{path} ({package} {importlib.metadata.version(package)})'


def reference(x, numerator, denominator):
    """The function as the paper writes it: stacked powers of x, left to autograd."""
    import torch

    wide = x.unflatten(-1, (len(denominator), -1)).float()
    powers = torch.stack([wide**k for k in range(numerator.shape[1])])
    top = (powers * numerator.expand(len(denominator), -1).t()[:, None, None, :, None]).sum(0)
    bottom = 1 + (powers[1:1 + denominator.shape[1]].abs() * denominator.abs().t()[:, None, None, :, None]).sum(0)
    return (top / bottom).to(x.dtype).flatten(-2)


def function_table(args: argparse.Namespace) -> None:
    import torch
    import torch.nn.functional as F

    from mmxf.models.kat.fit import fit
    from mmxf.ops.rational import rational

    numerator, denominator = (torch.tensor(values, device=args.device) for values in fit('swish'))
    numerator = numerator[None].requires_grad_()
    denominator = denominator.repeat(args.groups, 1).requires_grad_()
    kinds = {'rational': lambda x: rational(x, numerator, denominator), 'GELU': F.gelu,
             'reference form': lambda x: reference(x, numerator, denominator)}
    if args.compile:
        kinds['rational'] = torch.compile(kinds['rational'], fullgraph=True)
    for text in args.shapes:
        shape = tuple(int(n) for n in text.split('x'))
        x = torch.randn(shape, device=args.device, dtype=getattr(torch, args.dtype), requires_grad=True)
        grad, target = torch.randn_like(x), torch.empty_like(x, requires_grad=False)
        size = x.nbytes / 1e9
        rows: dict[str, Callable] = {'copy': lambda target=target, x=x: target.copy_(x.detach())}
        for name, function in kinds.items():
            leaves = [x] if name == 'GELU' else [x, numerator, denominator]

            def forward(function=function, x=x):
                with torch.no_grad():
                    return function(x)

            def both(function=function, x=x, leaves=leaves, grad=grad):
                return torch.autograd.grad(function(x), leaves, grad)

            rows[f'{name}, forward'], rows[f'{name}, forward + backward'] = forward, both
        seconds = measure(rows, args.runs, args.device)
        gelu = seconds['GELU, forward + backward']
        threads = '' if x.is_cuda else f', {torch.get_num_threads()} threads'
        print(f'\n{text}, {args.dtype}, {args.device}{threads}, torch {torch.__version__}; the function by {path_of(args, x)}')
        print(f'{"":38}{"ms":>10}{"GB/s":>10}{"of a copy":>11}{"x GELU":>9}')
        rate = 2 * size / seconds['copy']
        for name, value in seconds.items():
            moved = size * (5 if 'backward' in name else 2)
            against = f'{value / gelu:9.2f}' if 'backward' in name else ''
            print(f'{name:38}{1e3 * value:10.2f}{moved / value:10.1f}{moved / value / rate:11.2f}{against}')


def model_table(args: argparse.Namespace) -> None:
    import contextlib

    import torch

    import mmxf  # noqa: F401
    from mmxf.models.kat import KAT

    kinds = {'KAT': dict(type='GRKAN', act_init='swish'), 'ViT with GELU': dict(type='FFN', act_cfg=dict(type='GELU'))}
    x = torch.randn(args.batch, 3, 224, 224, device=args.device)
    rows: dict[str, Callable] = {}
    for name, ffn in kinds.items():
        torch.manual_seed(0)
        from mmengine.registry import DefaultScope
        with DefaultScope.overwrite_default_scope('mmxf'):
            model = KAT(args.model, ffn=ffn).to(args.device)
        run = torch.compile(model, fullgraph=True) if args.compile else model

        def cast():
            if args.dtype == 'float32':
                return contextlib.nullcontext()
            return torch.autocast(args.device.split(':')[0], dtype=getattr(torch, args.dtype))

        def infer(model=model, run=run, cast=cast):
            model.eval()
            with torch.no_grad(), cast():
                run(x)

        def train(model=model, run=run, cast=cast):
            model.train()
            with cast():
                loss = run(x).float().square().mean()
            loss.backward()
            model.zero_grad(set_to_none=True)

        rows[f'{name}, inference'], rows[f'{name}, training step'] = infer, train
    seconds = measure(rows, args.runs, args.device)
    example = torch.empty(1, 197, 192, dtype=getattr(torch, args.dtype), device=args.device)
    print(f'\nKAT-{args.model}, {args.batch} images of 224 x 224, {args.dtype}, {args.device}; the function by '
          f'{path_of(args, example)}')
    for name, value in seconds.items():
        against = seconds[name.replace('KAT', 'ViT with GELU', 1)] if name.startswith('KAT') else value
        print(f'{name:34}{args.batch / value:10.2f} images/s   {against / value:6.2f} of the ViT')


def main(argv=None) -> int:
    args = parse_args(argv)
    import torch

    torch.set_num_threads(args.threads)
    (model_table if args.model else function_table)(args)
    return 0


if __name__ == '__main__':
    sys.exit(main())
