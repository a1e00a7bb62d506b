"""What a check found: problems by kind, with the files they were found in, and numbers of each class."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 5       # files named a kind


@dataclass
class Problem:
    """One kind of problem.

    Args:
        kind: what is wrong, one sentence, the same for all files.
        error: whether it must be mended; else a warning.
        cure: what to do.
        places: file (or image id) and what was seen there.
    """

    kind: str
    error: bool
    cure: str
    places: list[tuple[str, str]] = field(default_factory=list)

    def text(self) -> str:
        lines = [f'{"ERROR" if self.error else "warning"}: {self.kind}' + (f' ({len(self.places)} of the sample)'
                                                                         if len(self.places) > 1 else '')]
        lines += [f'    {place}' + (f': {seen}' if seen else '') for place, seen in self.places[:SHOWN]]
        if len(self.places) > SHOWN:
            lines.append(f'    ... and {len(self.places) - SHOWN} more')
        return '\n'.join([*lines, f'  -> {self.cure}'])


@dataclass
class Report:
    """Of one data set.

    Args:
        name: which one, as the config calls it.
        classes: their names, for the table.
        ignore_index: the label of pixels that the data set ignores, besides 255.
        skeleton, joints: of pose data sets: the Skeleton, the names of the keypoints.
        sums: running sums of the checks.
    """

    name: str
    classes: tuple[str, ...] = ()
    ignore_index: int = 255
    skeleton: Any = None
    joints: Sequence = ()
    total: int = 0          # samples of the data set
    looked_at: int = 0      # those that were opened
    seconds: float = 0.0
    problems: dict[str, Problem] = field(default_factory=dict)
    numbers: dict[str, dict[int, float]] = field(default_factory=dict)      # column -> class -> sum
    facts: dict[str, str] = field(default_factory=dict)
    sums: dict[str, list] = field(default_factory=dict)

    def add(self, kind: str, place: str, seen: str = '', *, cure: str, error: bool = True) -> None:
        """Notes a problem of a file."""
        problem = self.problems.setdefault(kind, Problem(kind, error, cure))
        problem.places.append((str(place), seen))

    def count(self, column: str, label: int, amount: float = 1) -> None:
        """Adds to a column of the table of classes; labels outside are left to `add`."""
        if 0 <= label < len(self.classes):
            values = self.numbers.setdefault(column, {})
            values[label] = values.get(label, 0) + amount

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems.values() if problem.error]

    def table(self) -> str:
        """Classes and their numbers; empty without any."""
        if not self.numbers or not self.classes:
            return ''
        columns = list(self.numbers)
        width = max(5, *map(len, self.classes)) + 2
        lines = [f'{"class":<{width}}' + ''.join(f'{column:>12}' for column in columns)]
        for label, name in enumerate(self.classes):
            lines.append(f'{name:<{width}}' + ''.join(f'{self.numbers[c].get(label, 0):>12,.0f}' for c in columns))
        return '\n'.join(lines)

    def text(self, table: bool = True) -> str:
        """The whole report."""
        lines = [f'{self.name}: {self.looked_at:,} of {self.total:,} samples looked at in {self.seconds:.1f} s']
        lines += [f'  {key}: {value}' for key, value in self.facts.items()]
        lines += [self.table()] if table and self.table() else []
        lines += [problem.text() for problem in sorted(self.problems.values(), key=lambda p: not p.error)]
        return '\n'.join([*lines, f'{self.name}: {len(self.errors)} kinds of errors, '
                                  f'{len(self.problems) - len(self.errors)} of warnings'])

    def as_dict(self) -> dict:
        """For JSON."""
        return dict(name=self.name, total=self.total, looked_at=self.looked_at, seconds=round(self.seconds, 2), facts=self.facts,
                    classes={name: {column: values.get(label, 0) for column, values in self.numbers.items()}
                             for label, name in enumerate(self.classes)},
                    problems=[dict(kind=p.kind, error=p.error, cure=p.cure, places=[list(place) for place in p.places])
                              for p in self.problems.values()])
