"""How commands end on an error that the user can mend: one message, no traceback, exit status 1."""

import functools
import os
import sys
from collections.abc import Callable

from ._session import is_plain


def user_errors(main: Callable) -> Callable:
    """Wrap a command's ``main`` so that plain errors print as messages; ``MMXF_TRACEBACK=1`` lets all
    through.
    """

    @functools.wraps(main)
    def wrapped(argv=None):
        try:
            return main(argv)
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            return 130
        except Exception as error:
            if os.environ.get('MMXF_TRACEBACK', '') not in ('', '0') or not is_plain(error):
                raise
            print(f'error: {error}', file=sys.stderr)
            return 1

    return wrapped
