"""The import hook: when it serves, when it stays away, what the ops without a stand-in say."""
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mmxf.ops.extension import IMPLEMENTED, ExtensionFinder, compiled_ops_available, install


def in_fresh_process(code: str, path: Path | None = None) -> str:
    """Standard output of a new interpreter; ``path`` goes before everything else on its import path."""
    setup = f'import sys; sys.path.insert(0, {str(path)!r})\n' if path else ''
    result = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', setup + textwrap.dedent(code)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_importing_mmxf_loads_nothing_heavy():
    heavy = 'torch', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'cv2', 'torchvision', 'importlib.metadata'
    assert in_fresh_process(f'import mmxf, sys; print([m for m in {heavy} if m in sys.modules])') == '[]'


@pytest.mark.parametrize('package', ['mmdet.models', 'mmseg.models'])
def test_packages_import_after_mmxf(package):
    assert in_fresh_process(f'import mmxf, {package}; print("fine")') == 'fine'


def test_install_appends_once_at_the_end():
    install()
    install()
    assert sum(isinstance(finder, ExtensionFinder) for finder in sys.meta_path) == 1
    code = 'import mmxf, sys; print(type(sys.meta_path[-1]).__name__)'
    assert in_fresh_process(code) == 'ExtensionFinder'


@pytest.fixture
def fake_mmcv(tmp_path):
    """A package ``mmcv``; add ``_ext.py`` to it to have it "compiled"."""
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('')
    return tmp_path


def test_a_present_extension_wins(fake_mmcv):
    (fake_mmcv / 'mmcv' / '_ext.py').write_text('nms = "compiled"')
    assert in_fresh_process('''
        import mmxf, mmcv._ext
        from mmxf.ops.extension import compiled_ops_available
        print(mmcv._ext.nms, compiled_ops_available(), hasattr(mmcv._ext, 'anything'))
        ''', fake_mmcv) == 'compiled True False'


def test_a_broken_extension_is_not_hidden(fake_mmcv):
    """One compiled for another torch fails to load: for the user to know, not to paper over."""
    (fake_mmcv / 'mmcv' / '_ext.py').write_text('raise ImportError("undefined symbol")')
    assert in_fresh_process('''
        import mmxf
        try:
            import mmcv._ext
        except ImportError as error:
            print(error)
        ''', fake_mmcv) == 'undefined symbol'


def test_an_absent_extension_is_served(fake_mmcv):
    assert in_fresh_process('''
        import mmxf, mmcv._ext
        from mmxf.ops.extension import compiled_ops_available
        print(mmcv._ext.nms.__module__, compiled_ops_available())
        ''', fake_mmcv) == 'mmxf.ops.nms False'


def test_only_this_one_module_is_served():
    finder = ExtensionFinder()
    for name in ('mmcv', 'mmcv.ops', 'mmcv._ext2', '_ext', 'mmdet._ext'):
        assert finder.find_spec(name) is None
    assert finder.find_spec('mmcv._ext').loader is finder


def test_every_op_that_mmcv_wraps_is_there(stand_in_module):
    """All names that the installed mmcv.ops asks for; those of IMPLEMENTED are implemented."""
    import re

    import mmcv
    sources = [path.read_text() for path in Path(mmcv.__file__).parent.joinpath('ops').glob('*.py')]
    called = {name for source in sources for name in re.findall(r'ext_module\.(\w+)', source)}
    assert called >= set(IMPLEMENTED) and len(called) > 100
    for name in called:
        assert callable(getattr(stand_in_module, name))
        assert ('absent' in getattr(stand_in_module, name).__module__) == (name not in IMPLEMENTED)


def test_an_op_without_stand_in_says_what_to_do(stand_in_module):
    with pytest.raises(NotImplementedError) as error:
        stand_in_module.box_iou_rotated('boxes', aligned=True)
    message = str(error.value)
    assert "'box_iou_rotated'" in message and 'pip install --no-build-isolation' in message
    assert '--no-cache-dir' in message and 'docs/install.md' in message


def test_private_names_are_absent(stand_in_module):
    assert not hasattr(stand_in_module, '__path__') and not hasattr(stand_in_module, '_private')


def test_collect_env(stand_in):
    from mmcv.ops import get_compiler_version, get_compiling_cuda_version
    assert 'mmxf' in get_compiler_version() and get_compiling_cuda_version() == 'not available'


def test_which_extension_the_suite_runs_on():
    import mmcv._ext
    assert compiled_ops_available() == hasattr(mmcv._ext, '__file__')
