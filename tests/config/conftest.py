"""Toy parts and a way to write small configs."""

import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent / 'data'


@pytest.fixture(scope='session', autouse=True)
def toy_parts():
    sys.path.insert(0, str(DATA))
    import toy_parts

    sys.path.remove(str(DATA))
    return toy_parts


@pytest.fixture
def toy() -> Path:
    return DATA / 'toy.py'


@pytest.fixture
def child(tmp_path):
    """Writes a config that inherits the toy config; returns its path."""

    def write(text: str, name: str = 'child.py') -> Path:
        path = tmp_path / name
        path.write_text(f'_base_ = [{str(DATA / "toy.py")!r}]\n{text}')
        return path

    return write


@pytest.fixture
def problems():
    """Problems of a config as text, one a line; empty when it is right."""
    from mmxf.config import ConfigError, load_config

    def find(path, options=None) -> list[str]:
        try:
            load_config(path, options)
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        return []

    return find
