"""What a preparation found, made and misses."""
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

# progress(title) gives a callback (done, total).
Progress = Callable[[str], Callable[[int, int], None]]


def silent(title: str) -> Callable[[int, int], None]:
    """The progress that shows nothing."""
    return lambda done, total: None


@dataclass
class Download:
    """An official download: ``file`` from ``url`` (or behind its form), unpacked in ``where``."""
    file: str
    url: str
    where: Path

    def __str__(self) -> str:
        return (f'download {self.file} from {self.url} and put it (or what is in it) into {self.where}/; '
                'archives there are unpacked by this command')


@dataclass
class Report:
    """Lines for the user. ``missing`` empty means that the data set is ready."""
    ready: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def text(self) -> str:
        """All lines, each with its verdict."""
        verdicts = (('ready', self.ready), ('made', self.made), ('note', self.notes),
                    ('MISSING', self.missing))
        return '\n'.join(f'{verdict:8}{line}' for verdict, lines in verdicts for line in lines)


def in_threads(function: Callable, items: Iterable, workers: int,
               progress: Callable[[int, int], None]) -> Iterator:
    """``function`` of each item, in order, with progress. Threads do: PNG coding runs outside Python's
    lock."""
    items = list(items)
    progress(0, len(items))
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for done, result in enumerate(pool.map(function, items), 1):
            progress(done, len(items))
            yield result


def absent_files(folder: Path, names: list[str]) -> list[str]:
    """Those of ``names`` (relative, in ``folder``) that are not there; one listing a folder, not a stat a
    file."""
    present: dict[Path, set[str]] = {}
    absent = []
    for name in names:
        path = folder / name
        if path.parent not in present:
            is_dir = path.parent.is_dir()
            present[path.parent] = {entry.name for entry in path.parent.iterdir()} if is_dir else set()
        if path.name not in present[path.parent]:
            absent.append(name)
    return absent
