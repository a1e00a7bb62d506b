"""What is wrong with a config, said so that it can be mended: where it was written, what it went to, the
nearest names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class UserError(Exception):
    """An error whose message is all that the user needs; the commands print it without a traceback."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a config.

    Attributes:
        key: dotted path of the key, e.g. ``model.panoptic_head.num_querys``.
        where: ``file:line`` where the key was written, ``command line``, or a file alone where the line is
        unknown. message: what is wrong and what to do.
    """

    key: str
    where: str
    message: str

    def __str__(self) -> str:
        return f'{self.where}: {self.key}: {self.message}'


class ConfigError(UserError):
    """All problems found in one config.

    Args:
        path: the config file.
        problems: every problem found, not only the first.
    """

    def __init__(self, path: str, problems: Iterable[Problem]) -> None:
        self.path = str(path)
        self.problems = list(problems)
        count = len(self.problems)
        head = f'{self.path}: {count} problem{"" if count == 1 else "s"} in the config'
        super().__init__('\n'.join([head, *(f'  {problem}' for problem in self.problems)]))


def nearest(name: str, choices: Iterable[str], count: int = 3) -> list[str]:
    """The ``count`` names most like ``name``, best first; names that differ only in case come before all
    others."""
    choices = [choice for choice in dict.fromkeys(choices) if isinstance(choice, str)]
    same = [choice for choice in choices if choice.lower() == name.lower() and choice != name]
    by_lower = {choice.lower(): choice for choice in choices}
    near = [by_lower[low] for low in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.6)]
    return [choice for choice in dict.fromkeys(same + near) if choice != name][:count]


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """``; did you mean 'a' or 'b'?``, or an empty string when nothing is near."""
    near = nearest(name, choices)
    return f'; did you mean {" or ".join(map(repr, near))}?' if near else ''


def is_misspelling(name: str, right: str) -> bool:
    """True when ``name`` can only be a slip of the fingers for ``right``: one or two letters of a word of
    five or more added, missing, changed or exchanged. Strict on purpose: it decides where the signature alone
    cannot.

    A difference in digits (``loss1``, ``loss2``) is a different name, not a slip."""
    if name == right or min(len(name), len(right)) < 5 or abs(len(name) - len(right)) > 2:
        return False
    if [c for c in name if c.isdigit()] != [c for c in right if c.isdigit()]:
        return False
    return edit_distance(name.lower(), right.lower()) <= (1 if min(len(name), len(right)) < 8 else 2)


def edit_distance(a: str, b: str) -> int:
    """Damerau-Levenshtein distance (optimal string alignment): insertions, deletions, changes, exchanged
    neighbours."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[-1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
