"""Configs as text."""
import sys

import pytest
from mmengine.config import Config

from mmxf.config.printing import KEPT, import_yapf, prepare_printing, remembering

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


def test_what_was_laid_out_is_not_laid_out_again(monkeypatch):
    from yapf.yapflib import yapf_api

    texts, lay_out = [], yapf_api.FormatCode
    monkeypatch.setattr(yapf_api, 'FormatCode', lambda text, **options: texts.append(text) or lay_out(text, **options))
    pretty_text = getattr(Config.pretty_text.fget, '__wrapped__', Config.pretty_text.fget)
    monkeypatch.setattr(Config, 'pretty_text', property(remembering(pretty_text)))
    cfg = Config(dict(model=dict(type='A', depth=2, sizes=[1, 2]), lr=0.1))
    first = cfg.pretty_text
    assert cfg.pretty_text == Config(cfg.to_dict()).pretty_text == first == pretty_text(cfg) and len(texts) == 2
    cfg.model.depth = 3
    assert cfg.pretty_text == first.replace('depth=2', 'depth=3') and len(texts) == 3, 'a change is seen'
    for depth in range(10, 10 + KEPT):
        cfg.model.depth = depth
        assert f'depth={depth}' in cfg.pretty_text
    cfg.model.depth = 2
    assert cfg.pretty_text == first and len(texts) == 4 + KEPT, 'only the last few are kept'
    plain = Config(cfg.to_dict(), format_python_code=False)
    assert plain.pretty_text == pretty_text(plain) and len(texts) == 4 + KEPT


def test_preparing_twice_wraps_once(monkeypatch):
    monkeypatch.setattr(Config, 'pretty_text', Config.pretty_text)
    prepare_printing()
    once = Config.pretty_text
    prepare_printing()
    assert Config.pretty_text is once and hasattr(once.fget, '__wrapped__')
