"""How commands end on a user's error: one message, no traceback, exit status 2."""
import functools
import sys
from collections.abc import Callable


def user_errors(main: Callable) -> Callable:
    """Wrap a command's ``main`` so that UserError, and files that are not there, print as messages."""

    @functools.wraps(main)
    def wrapped(argv=None):
        from mmxf.config import UserError
        try:
            return main(argv)
        except (UserError, FileNotFoundError) as error:
            print(f'error: {error}', file=sys.stderr)
            return 2

    return wrapped
