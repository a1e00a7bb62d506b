"""Where results go, looked at before the work begins: a folder that cannot be written costs a second then, and hours later."""
import os
from pathlib import Path

from mmxf.config.errors import UserError


def check_folder(path: str | os.PathLike | None, flag: str) -> None:
    """Looks whether files can be written into a folder, which need not exist yet. Makes nothing.

    Args:
        path: the folder; None passes.
        flag: what names it on the command line, for the message.

    Raises:
        UserError: it, or the part of its path that exists, is no folder or may not be written.
    """
    if path is None:
        return
    there = Path(path).absolute()
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if there.is_symlink() and not there.exists():
        raise UserError(f'{flag} {path}: the link {there} leads nowhere ({os.readlink(there)}); name another')
    if not there.is_dir():
        raise UserError(f'{flag} {path}: {there} is a file, no folder; name another')
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f'{flag} {path}: no permission to write into {there}; name another, or have its owner change that')


def check_file(path: str | os.PathLike | None, flag: str) -> None:
    """Likewise of a file that will be written or replaced."""
    if path is None:
        return
    if Path(path).is_dir():
        raise UserError(f'{flag} {path}: a folder; name the file')
    check_folder(Path(path).parent, flag)
