"""What train and test do before a run is built."""
import sys

import pytest

from mmxf.cli._session import import_yapf

HALF = '''
from pathlib import Path
tries = Path(__file__).with_name('tries')
tries.write_text(tries.read_text() + 'x')
if len(tries.read_text()) < {whole}:
    raise EOFError('Ran out of input')
'''


@pytest.fixture
def yapf(tmp_path, monkeypatch):
    """A package of that name whose grammar is whole at the n-th import; returns how often it was imported."""
    for name in [name for name in sys.modules if name.partition('.')[0] == 'yapf']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(whole: int):
        (tmp_path / 'yapf').mkdir()
        (tmp_path / 'yapf/__init__.py').write_text(HALF.format(whole=whole))
        (tmp_path / 'yapf/tries').write_text('')
        return lambda: len((tmp_path / 'yapf/tries').read_text())

    yield make
    sys.modules.pop('yapf', None)


def test_a_grammar_that_another_process_is_writing_is_read_again(yapf):
    tries = yapf(whole=3)
    import_yapf(pause=0.01)
    assert tries() == 3


def test_a_grammar_that_stays_broken_is_an_error(yapf):
    tries = yapf(whole=100)
    with pytest.raises(EOFError):
        import_yapf(attempts=4, pause=0.01)
    assert tries() == 4
