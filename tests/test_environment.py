"""Which distributions are installed, what is wrong with them, and OpenCV that cannot be loaded."""
import builtins
import importlib
import sys
import warnings
from types import ModuleType

import pytest

from mmxf import environment


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """``installed('mmcv', '2.1.0')`` adds a dist-info folder; nothing else is installed."""
    standard = [path for path in sys.path if 'site-packages' not in path and 'dist-packages' not in path]
    monkeypatch.setattr(sys, 'path', [str(tmp_path), *standard])
    monkeypatch.setitem(sys.modules, 'cv2', ModuleType('cv2'))
    monkeypatch.setattr(environment, '_WARNED', set())

    def add(name: str, version: str) -> None:
        folder = tmp_path / f'{name.replace("-", "_")}-{version}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        importlib.invalidate_caches()

    importlib.invalidate_caches()
    return add


def install_all(installed, names) -> None:
    for name in names:
        installed(name, '1.0')


ONEDL = 'onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection', 'onedl-mmsegmentation'
UPSTREAM = 'mmengine', 'mmcv', 'mmdet', 'mmsegmentation'


@pytest.mark.parametrize(
    'names',
    [
        ONEDL,
        UPSTREAM,
        ('mmengine-lite', 'mmcv-lite', 'mmdet', 'onedl-mmsegmentation'),
        ('mmengine', 'mmcv-full', 'mmdet', 'mmsegmentation'),
    ],
)
def test_either_family_is_fine(installed, names):
    install_all(installed, names)
    assert environment.conflicts() == [] and environment.missing() == []
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        environment.check_stack()


def test_nothing_installed(installed, monkeypatch):
    monkeypatch.setattr(environment, '_importable', lambda package: False)
    assert environment.providers('mmcv') == {}
    with pytest.raises(ModuleNotFoundError, match='mmxf needs mmengine, mmcv, mmdet, mmseg') as error:
        environment.check_stack()
    assert 'pip install onedl-mmengine onedl-mmcv onedl-mmdetection onedl-mmsegmentation' in str(error.value)


def test_only_mmcv_missing(installed, monkeypatch):
    install_all(installed, [name for name in ONEDL if name != 'onedl-mmcv'])
    monkeypatch.setattr(environment, '_importable', lambda package: False)
    assert len(environment.missing()) == 1
    assert 'needs mmcv, ' in environment.missing()[0] and environment.missing()[0].endswith(
        'pip install onedl-mmcv'
    )


def test_source_tree_without_metadata_counts_as_installed(installed, tmp_path):
    install_all(installed, [name for name in ONEDL if name != 'onedl-mmcv'])
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('')
    assert environment.missing() == []


@pytest.mark.parametrize('upstream, twin, package', [(*pair, p) for pair, p in
                                                     zip(zip(UPSTREAM, ONEDL), environment.PROVIDERS)])
def test_twins_are_named_with_the_cure(installed, upstream, twin, package):
    install_all(installed, ONEDL)
    installed(upstream, '2.1.0')
    problem, = environment.conflicts()
    assert f'{twin} 1.0 and {upstream} 2.1.0' in problem and repr(package) in problem
    assert f'pip uninstall -y {twin} {upstream} && pip install --no-deps {twin}==1.0' in problem
    with pytest.warns(environment.EnvironmentWarning, match=upstream):
        environment.check_stack()
    with warnings.catch_warnings():   # said once
        warnings.simplefilter('error')
        environment.check_stack()


def test_two_builds_of_upstream_are_named_too(installed):
    install_all(installed, UPSTREAM)
    installed('mmcv-lite', '2.1.0')
    assert 'mmcv 1.0 and mmcv-lite 2.1.0' in environment.conflicts()[0]


@pytest.mark.parametrize('name, wanted', [('onedl-mmcv', 'onedl-mmcv==1.0'), ('mmcv', 'mmcv==1.0'),
                                          ('mmcv-lite', 'mmcv==1.0')])
def test_compile_command(installed, name, wanted):
    installed(name, '1.0')
    command = environment.compile_command()
    assert command.startswith('MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir')
    assert command.endswith(wanted)


def without_libgl(monkeypatch, error) -> None:
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        if name == 'cv2':
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, 'cv2', raising=False)
    monkeypatch.setattr(builtins, '__import__', guarded)


@pytest.mark.parametrize('name', ['opencv-python', 'opencv-contrib-python'])
def test_cv2_without_libgl(installed, monkeypatch, name):
    installed(name, '4.12.0.88')
    without_libgl(
        monkeypatch, ImportError('libGL.so.1: cannot open shared object file: No such file or directory')
    )
    with pytest.raises(ImportError, match='libGL.so.1') as error:
        environment.ensure_cv2()
    assert f'pip install --force-reinstall --no-deps {name}-headless==4.12.0.88' in str(error.value)


def test_cv2_absent(installed, monkeypatch):
    without_libgl(monkeypatch, ModuleNotFoundError("No module named 'cv2'"))
    with pytest.raises(ModuleNotFoundError, match='pip install opencv-python'):
        environment.ensure_cv2()


def test_command_reports_and_mends(installed, monkeypatch, capsys):
    install_all(installed, ONEDL)
    installed('opencv-python', '4.12.0.88')
    commands = []

    class Result:
        stderr = 'Traceback ...\nImportError: OpenCV cannot be loaded: libGL.so.1'

        def __init__(self, returncode):
            self.returncode = returncode

    def run(command, **kwargs):
        commands.append(command)
        mended = any('pip' in earlier for earlier in commands)
        return Result(0 if mended else 1)

    monkeypatch.setattr(environment.subprocess, 'run', run)
    assert environment.main([]) == 1
    assert 'OpenCV cannot be loaded: libGL.so.1' in capsys.readouterr().out and len(commands) == 1
    assert environment.main(['--mend']) == 0
    assert commands[2][1:] == ['-m', 'pip', 'install', '--force-reinstall', '--no-deps',
                               'opencv-python-headless==4.12.0.88']
    assert 'fit together' in capsys.readouterr().out


def test_command_here():
    assert environment.main([]) == 0
