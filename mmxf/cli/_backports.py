"""Python's own modules, hidden by old copies of them on PYTHONPATH: every later import would fail, and blame others."""
import os
import sys

# On PyPI for Pythons long gone, and still installed as somebody's requirement (cityscapesScripts asks for ``typing``): harmless
# in site-packages, which comes after the standard library, fatal where PYTHONPATH names that folder.
BACKPORTS = ('typing', 'enum', 'dataclasses')


def hiding() -> list[tuple[str, str]]:
    """(module, file that hides it) for each of `BACKPORTS` that a folder on PYTHONPATH holds before the standard library."""
    library = os.path.realpath(os.path.dirname(os.__file__))
    found = []
    for entry in filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep)):
        if os.path.realpath(entry) == library:
            break
        for name in BACKPORTS:
            for path in (os.path.join(entry, f'{name}.py'), os.path.join(entry, name, '__init__.py')):
                if os.path.isfile(path):
                    found.append((name, path))
    return found


def stop_where_hidden() -> None:
    """Ends the process with a message where Python would take such a copy.

    Raises:
        SystemExit: status 1 and the message.
    """
    if sys.flags.ignore_environment:
        return
    found = hiding()
    if found:
        name, path = found[0]
        sys.exit(f"error: {path} hides Python's own {name}, for PYTHONPATH names its folder; nothing can be imported. Mend it by "
                 f'one of\n    unset PYTHONPATH\n    python -E -m pip uninstall -y {"enum34" if name == "enum" else name}')
