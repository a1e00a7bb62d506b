"""Ops without a stand-in: they import, and say on call what they need."""
from collections.abc import Callable
from typing import NoReturn

from mmxf.environment import compile_command


def absent_op(name: str) -> Callable[..., NoReturn]:
    """A function that raises NotImplementedError naming the op and the command that compiles mmcv."""

    def op(*args, **kwargs) -> NoReturn:
        raise NotImplementedError(
            f'mmcv.ops: {name!r} needs mmcv with compiled ops, which is not installed. Compile it with\n'
            f'    {compile_command()}\n'
            'docs/install.md of mmxf says what that needs and how long it takes.')

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f'{name}: not available without compiled mmcv.'
    return op
