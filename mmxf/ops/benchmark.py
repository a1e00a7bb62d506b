"""What compiling mmcv buys: times of the stand-in, with those of the compiled ops beside them.

Runs of the two alternate, and medians are compared: ``python -m mmxf.ops.benchmark``.
"""
import argparse
import statistics
import sys
import time
from collections.abc import Callable
from types import ModuleType

MODULES = 'nms', 'roi_align', 'focal_loss', 'deform_conv', 'modulated_deform_conv', 'multi_scale_deform_attn'


def cases(device: str) -> dict[str, Callable]:
    """Name -> function that runs the op forward and (but for nms) backward, at sizes of real detectors."""
    import torch
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d, nms, roi_align, sigmoid_focal_loss, soft_nms
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    torch.manual_seed(0)

    def boxes(n: int):
        corner = torch.rand(n, 2) * 1000
        return torch.cat([corner, corner + torch.rand(n, 2) * 200], 1).to(device)

    def leaf(*shape: int):
        return torch.randn(*shape, device=device, requires_grad=True)

    def both_ways(function: Callable, *args) -> Callable:
        leaves = [a for a in args if isinstance(a, torch.Tensor) and a.requires_grad]

        def run():
            out = function(*args)
            torch.autograd.grad(out, leaves, torch.ones_like(out))

        return run

    many, scores = boxes(2000), torch.rand(2000, device=device)
    few, few_scores = boxes(500), torch.rand(500, device=device)
    rois = torch.cat([torch.zeros(512, 1, device=device), boxes(512)], 1)
    features, maps = leaf(1, 256, 200, 304), leaf(1, 128, 50, 76)
    weight, bias = leaf(128, 128, 3, 3), leaf(128)
    offset, mask = leaf(1, 18, 50, 76), torch.rand(1, 9, 50, 76, device=device, requires_grad=True)
    shapes = torch.tensor([[50, 76], [25, 38], [13, 19], [7, 10]], device=device)
    sizes = shapes.prod(1)
    starts, length = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)[:-1]]), int(sizes.sum())
    value = leaf(1, length, 8, 32)
    locations = torch.rand(1, length, 8, 4, 4, 2, device=device, requires_grad=True)
    attention = torch.rand(1, length, 8, 4, 4, device=device, requires_grad=True)
    logits, target = leaf(20000, 80), torch.randint(0, 81, (20000,), device=device)
    attend = MultiScaleDeformableAttnFunction.apply
    return {
        'nms, 2000 boxes': lambda: nms(many, scores, 0.5),
        'soft_nms, 500 boxes': lambda: soft_nms(few, few_scores, 0.5),
        'roi_align, 512 boxes, 7x7, 256x200x304': both_ways(roi_align, features, rois, 7, 0.25, 0),
        'sigmoid_focal_loss, 20000x80': both_ways(sigmoid_focal_loss, logits, target),
        'deform_conv 3x3, 128x50x76': both_ways(deform_conv2d, maps, offset, weight, 1, 1),
        'modulated_deform_conv 3x3, 128x50x76':
            both_ways(modulated_deform_conv2d, maps, offset, mask, weight, bias, 1, 1),
        f'ms_deform_attn, {length} queries, 4 levels':
            both_ways(attend, value, shapes, starts, locations, attention, 64),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog='python -m mmxf.ops.benchmark', description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--runs', type=int, default=7, help='runs of each op and kind (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=1, help="torch's threads (default: %(default)s)")
    args = parser.parse_args(argv)

    import mmcv.ops  # noqa: F401
    import torch

    from mmxf.ops.extension import ExtensionFinder, compiled_ops_available
    torch.set_num_threads(args.threads)
    stand_in = ModuleType('stand_in')
    ExtensionFinder().exec_module(stand_in)
    kinds = {'stand-in': stand_in}
    if compiled_ops_available():
        import mmcv._ext
        kinds['compiled'] = mmcv._ext
    print(f'torch {torch.__version__}, {args.device}, {torch.get_num_threads()} threads, milliseconds')
    for name, run in cases(args.device).items():
        times = {kind: [] for kind in kinds}
        try:
            for _ in range(args.runs + 1):  # the first warms up
                for kind, extension in kinds.items():
                    for module in MODULES:
                        sys.modules[f'mmcv.ops.{module}'].ext_module = extension
                    times[kind].append(_time(run, args.device))
        except RuntimeError as error:
            if 'not found' not in str(error):
                raise
            times.pop('compiled')  # not compiled for this device
            times['stand-in'] += [_time(run_with(run, stand_in), args.device) for _ in range(args.runs)]
        medians = {kind: statistics.median(values[1:]) * 1e3 for kind, values in times.items()}
        print(f'{name:45s}', '  '.join(f'{kind} {value:8.1f}' for kind, value in medians.items()))
    return 0


def run_with(run: Callable, extension: ModuleType) -> Callable:
    """Put the extension under mmcv.ops for all that follows."""
    for module in MODULES:
        sys.modules[f'mmcv.ops.{module}'].ext_module = extension
    return run


def _time(run: Callable, device: str) -> float:
    """Seconds; of CPU time where one thread does the work, which other load on the machine leaves alone."""
    import torch
    on_gpu = device.startswith('cuda')
    clock = time.process_time if not on_gpu and torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    run()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


if __name__ == '__main__':
    sys.exit(main())
