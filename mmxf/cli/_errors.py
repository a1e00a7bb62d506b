"""How commands end on an error that the user can mend: one message, no traceback, exit status 1; and where nobody reads on."""

import functools
import os
import sys
from collections.abc import Callable

from ._session import is_plain


def user_errors(main: Callable) -> Callable:
    """Wrap a command's ``main`` so that plain errors print as messages; ``MMXF_TRACEBACK=1`` lets all
    through. A reader that has seen enough (``mmxf print-config CONFIG | head``) ends it with status 141, as the shell counts it.
    """

    @functools.wraps(main)
    def wrapped(argv=None):
        try:
            status = main(argv)
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            # Python would flush once more at its end, and complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141                           # 128 + SIGPIPE
        except KeyboardInterrupt:
            print('interrupted', file=sys.stderr)
            return 130
        except Exception as error:
            if os.environ.get('MMXF_TRACEBACK', '') not in ('', '0') or not is_plain(error):
                raise
            print(f'error: {error}', file=sys.stderr)
            return 1

    return wrapped
