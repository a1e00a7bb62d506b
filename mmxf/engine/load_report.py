"""What a partial load did, key by key: loaded, started anew because of the number of classes, or suspicious."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class LoadReport:
    """Keys of a checkpoint and a model.

    Args:
        loaded: in both, of one shape.
        classes: (key, shape in the checkpoint, shape in the model) that differ by the number of classes alone.
        new: of the model, in parts of which the checkpoint holds nothing (a backbone's weights into a whole model).
        unused: of the checkpoint, in parts that the model does not have.
        suspicious: (key, why).
    """

    loaded: list[str] = field(default_factory=list)
    classes: list[tuple[str, tuple, tuple]] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    suspicious: list[tuple[str, str]] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether any key of either side has no partner of its shape."""
        return bool(self.classes or self.new or self.unused or self.suspicious)

    def summary(self) -> str:
        """One line, and a line for every suspicious key, at most a dozen."""
        text = (f'{len(self.loaded)} keys loaded, {len(self.classes)} start anew because of the number of classes, '
                f'{len(self.new)} start anew in parts that the checkpoint does not have{_parts(self.new)}, {len(self.unused)} '
                f'are of parts that the model does not have{_parts(self.unused)}, {len(self.suspicious)} suspicious')
        lines = [f'  {key}: {why}' for key, why in self.suspicious[:12]]
        more = [f'  ... and {len(self.suspicious) - 12} more'] if len(self.suspicious) > 12 else []
        return '\n'.join([text, *lines, *more])

    def text(self) -> str:
        """Every key."""
        lines = [f'loaded      {key}' for key in self.loaded]
        lines += [f'classes     {key}  {a} in the checkpoint, {b} in the model: starts anew' for key, a, b in self.classes]
        lines += [f'new         {key}' for key in self.new] + [f'unused      {key}' for key in self.unused]
        return '\n'.join(lines + [f'suspicious  {key}: {why}' for key, why in self.suspicious]) + '\n'


def compare_keys(model: Mapping[str, Tensor], checkpoint: Mapping[str, Tensor],
                 counts: tuple[int, int] | None = None) -> LoadReport:
    """What loading would do.

    Args:
        model: its state dict.
        checkpoint: the other.
        counts: (classes of the checkpoint, of the model) where both are known.
    """
    report = LoadReport()
    here, there = {_part(key) for key in model}, {_part(key) for key in checkpoint}
    by_tail: dict[tuple, str] = {}
    for key, value in checkpoint.items():
        if key not in model and hasattr(value, 'shape'):
            by_tail.setdefault((_tail(key), tuple(value.shape)), key)
    for key, value in model.items():
        shape = tuple(value.shape)
        if key in checkpoint:
            other = tuple(getattr(checkpoint[key], 'shape', ()))
            if other == shape:
                report.loaded.append(key)
            elif differs_by_classes(other, shape, counts):
                report.classes.append((key, other, shape))
            else:
                report.suspicious.append((key, f'{other} in the checkpoint, {shape} in the model: starts anew'))
            continue
        twin = by_tail.get((_tail(key), shape))
        if twin is not None and value.dim() > 1 and (_part(twin) not in here or _part(key) not in there):
            report.suspicious.append((key, f'is not in the checkpoint, which has {twin!r} of the same shape: another prefix?'))
        elif _part(key) in there:
            report.suspicious.append((key, 'is not in the checkpoint, other keys of its part are: starts anew'))
        else:
            report.new.append(key)
    for key in checkpoint:
        if key not in model:
            if _part(key) in here:
                report.suspicious.append((key, 'is in the checkpoint, not in the model: not used'))
            else:
                report.unused.append(key)
    return report


def differs_by_classes(theirs: Sequence[int], ours: Sequence[int], counts: tuple[int, int] | None) -> bool:
    """Whether two shapes differ in one size alone, and by the number of classes: K, K + 1 (background), or 4 K (boxes)."""
    if len(theirs) != len(ours):
        return False
    differ = [(a, b) for a, b in zip(theirs, ours) if a != b]
    if len(differ) != 1 or counts is None:
        return False
    (a, b), (before, now) = differ[0], counts
    return any((a, b) == (factor * before + more, factor * now + more) for factor in (1, 4) for more in (0, 1))


def _part(key: str) -> str:
    return key.split('.')[0]


def _tail(key: str) -> str:
    return '.'.join(key.split('.')[-3:])


def _parts(keys: Sequence[str]) -> str:
    names = sorted({_part(key) for key in keys})
    return f' ({", ".join(names[:6])})' if names else ''
