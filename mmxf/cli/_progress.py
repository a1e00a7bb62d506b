"""A line of progress with the time left, on standard error."""
import sys
import time
from collections.abc import Callable


def show_progress(title: str) -> Callable[[int, int], None]:
    """A callback (done, total) that draws ``title: 12/500  0:31 left``, at most ten times a second on a
    terminal and every ten seconds in a log."""
    start, terminal = time.monotonic(), sys.stderr.isatty()
    last = -1e9

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < (0.1 if terminal else 10):
            return
        last = now
        left = (now - start) / done * (total - done) if done else 0
        tail = f'{_clock(left)} left' if 0 < done < total else f'{_clock(now - start)}' if done else '...'
        begin, end = '\r' if terminal else '', '\n' if done == total or not terminal else ''
        print(f'{begin}{title}: {done}/{total}  {tail:14}', end=end, file=sys.stderr, flush=True)

    return show


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours}:{minutes:02}:{seconds:02}' if hours else f'{minutes}:{seconds:02}'
