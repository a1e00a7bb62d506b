"""Where the time of a pass goes: matrix products, convolutions, attention, and all the rest."""

from __future__ import annotations

# Names of torch's operators; the first kind that has one counts it.
KINDS = {
    'attention': ('attention',),
    'convolutions': ('convolution', 'conv_'),
    'matrix products': ('::mm', '::addmm', '::bmm', '::baddbmm', '::matmul', '::_linear_pointwise', '::addmv', '::mv'),
}
REST = 'rest'


def kind_of(operator: str) -> str:
    """The kind of an operator, as ``aten::mm``, by its name."""
    for kind, names in KINDS.items():
        # What ends with an underscore works in place.
        if any(name in operator if name[0] != ':' else operator.removesuffix('_').endswith(name) for name in names):
            return kind
    return REST


def time_shares(subject, mode: str) -> dict:
    """Of one pass of a `Subject`, after a first one.

    Returns:
        ``shares``: kind -> part of the time inside operators (their own, without those they call), 0 to 1; ``rest``: the
        operators of the rest that take most, name -> part.
    """
    from torch.profiler import ProfilerActivity, profile

    subject.step(mode)
    gpu = subject.device.type == 'cuda'
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * gpu
    with profile(activities=activities) as profiler:
        subject.step(mode)
    own = {event.key: event.self_device_time_total if gpu else event.self_cpu_time_total for event in profiler.key_averages()
           if '::' in event.key}
    total = sum(own.values()) or 1
    shares = dict.fromkeys((*KINDS, REST), 0.0)
    for name, value in own.items():
        shares[kind_of(name)] += value / total
    rest = sorted(((value / total, name) for name, value in own.items() if kind_of(name) == REST), reverse=True)[:5]
    return dict(shares=shares, rest={name: value for value, name in rest})
