"""``mmxf doctor`` on installations that are broken in the ways that users meet."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmxf.cli import _backports
from mmxf.cli import _doctor_checks as checks
from mmxf.cli._self_test import cases, report

ROOT = Path(__file__).parents[2]


def distribution(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    """An installed distribution in ``folder``; files whose text is None are recorded but absent."""
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    (info / 'RECORD').write_text(''.join(f'{path},,\n' for path in files))
    for path, text in files.items():
        if text is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)


def doctor(*args: str, **env: str) -> tuple[int, dict]:
    done = subprocess.run([sys.executable, str(ROOT / 'tools/doctor.py'), '--json', *args], capture_output=True, text=True,
                          cwd=ROOT, env={**os.environ, **env})
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_two_distributions_and_a_shadow_are_found_and_the_exit_status_tells(tmp_path):
    distribution(tmp_path, 'mmdet', '3.3.0', {'mmdet/__init__.py': ''})
    status, told = doctor('--no-self-test', PYTHONPATH=f'{tmp_path}{os.pathsep}{ROOT}')
    problems = [f for f in told['findings'] if f['status'] == 'problem']
    assert status == 1 and told['problems'] == len(problems)
    double = next(f for f in problems if f['check'] == 'packages')
    assert 'mmdet 3.3.0' in double['text'] and 'onedl-mmdetection' in double['text']
    assert 'pip uninstall -y onedl-mmdetection mmdet && ' in double['command']
    shadow = next(f for f in problems if f['check'] == 'shadows' and 'mmdet' in f['text'])
    assert str(tmp_path / 'mmdet/__init__.py') in shadow['text']
    assert shadow['command'] == f'export PYTHONPATH={ROOT}'
    # What imports packages would blame those that are sound.
    later = {f['check']: f['status'] for f in told['findings']}
    assert [later[name] for name in ('torch_and_gpu', 'compiled_ops', 'cpu_kernels')] == ['note'] * 3 and 'torch' not in later
    assert all(f['command'] and '\n' not in f['command'] for f in problems)


@pytest.mark.parametrize('command', [[str(ROOT / 'tools/doctor.py')], ['-m', 'mmxf.cli', 'print-config', 'absent.py']])
def test_an_old_copy_of_a_module_of_pythons_own_is_named(command, tmp_path):
    (tmp_path / 'typing.py').write_text('Any = Callable._abc_registry\n')       # as PyPI's typing on any Python of today
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, 'PYTHONPATH': f'{ROOT}{os.pathsep}{tmp_path}'})
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert f"{tmp_path / 'typing.py'} hides Python's own typing" in done.stderr and 'unset PYTHONPATH' in done.stderr


def test_an_old_copy_that_comes_after_pythons_own_hides_nothing(tmp_path, monkeypatch):
    (tmp_path / 'typing.py').touch()
    monkeypatch.setenv('PYTHONPATH', f'{os.path.dirname(os.__file__)}{os.pathsep}{tmp_path}')
    assert _backports.hiding() == []
    monkeypatch.setenv('PYTHONPATH', f'/absent{os.pathsep}{tmp_path}')
    assert _backports.hiding() == [('typing', str(tmp_path / 'typing.py'))]


def test_the_checks_see_an_installed_mmxf_where_any_run_would(monkeypatch):
    # Its folder, put on PYTHONPATH, would come before the standard library, and an old copy of typing there with it.
    monkeypatch.setenv('PYTHONPATH', '/of/the/user')
    assert checks._env()['PYTHONPATH'].split(os.pathsep) == ['/of/the/user', str(ROOT)]
    monkeypatch.setattr(checks.site, 'getsitepackages', lambda: [str(ROOT)])
    assert checks._env()['PYTHONPATH'] == '/of/the/user'
    monkeypatch.delenv('PYTHONPATH')
    assert 'PYTHONPATH' not in checks._env()


def test_a_command_that_mends_is_for_this_python(monkeypatch, tmp_path):
    command = 'pip uninstall -y a && pip install b && python -m mmxf.environment --mend'
    own = {tool: str(Path(sys.executable).parent / tool) for tool in ('pip', 'python')}
    monkeypatch.setattr(checks.shutil, 'which', own.get)
    assert checks.for_this_python(command) == command
    monkeypatch.setattr(checks.shutil, 'which', lambda tool: f'/usr/bin/{tool}')
    me = sys.executable
    assert checks.for_this_python(command) == \
        f'{me} -m pip uninstall -y a && {me} -m pip install b && {me} -m mmxf.environment --mend'


def test_one_cause_is_one_problem(tmp_path):
    (tmp_path / 'mmxf').mkdir()
    (tmp_path / 'mmxf/__init__.py').touch()
    done = subprocess.run([sys.executable, str(ROOT / 'tools/doctor.py'), '--json'], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': f'{ROOT}'})
    problems = [f for f in json.loads(done.stdout)['findings'] if f['status'] == 'problem']
    assert [f['check'] for f in problems] == ['shadows'] and 'hides the installed mmxf' in problems[0]['text'], problems


def only(monkeypatch, folder: Path) -> None:
    monkeypatch.setattr(sys, 'path', [str(folder)])


def test_lost_files_are_a_problem(tmp_path, monkeypatch):
    distribution(tmp_path, 'onedl-mmcv', '2.3.6', {'mmcv/__init__.py': '', 'mmcv/image/io.py': None})
    only(monkeypatch, tmp_path)
    found = [f for f in checks.packages() if f.status == 'problem' and 'mmcv 2.3.6' in f.text]
    assert len(found) == 1 and 'mmcv/image/io.py' in found[0].text
    assert found[0].command == 'pip install --force-reinstall --no-deps onedl-mmcv==2.3.6'


def test_files_of_another_version_are_a_problem(tmp_path, monkeypatch):
    distribution(tmp_path, 'onedl-mmdetection', '3.5.1', {'mmdet/__init__.py': '', 'mmdet/version.py': "__version__ = '3.3.0'\n"})
    only(monkeypatch, tmp_path)
    assert any('the files say 3.3.0' in f.text for f in checks.packages() if f.status == 'problem')


@pytest.mark.parametrize('flavours, problem', [
    ({'opencv-python': '4.12.0', 'opencv-contrib-python': '4.12.0'}, True),
    ({'opencv-python': '4.12.0', 'opencv-python-headless': '4.10.0'}, True),
    ({'opencv-python': '4.12.0', 'opencv-python-headless': '4.12.0'}, False)])  # what the repair leaves behind
def test_flavours_of_opencv(tmp_path, monkeypatch, flavours, problem):
    for name, version in flavours.items():
        distribution(tmp_path, name, version, {})
    only(monkeypatch, tmp_path)
    finding, = checks.opencv()
    assert (finding.status == 'problem') == problem
    assert not problem or finding.command.startswith('pip uninstall -y opencv-python ')


def test_torch_without_the_gpus_code_is_a_problem(monkeypatch):
    gpu = dict(name='X', memory_gb=8, bf16=True, usable=False, error='no kernel image')
    told = dict(version='2.9.0', cuda='12.8', hip=None, threads=1, gpus=[gpu], error='')
    answers = iter([told, dict(told, gpus=[], cuda=None), dict(told, gpus=[dict(gpu, usable=True, bf16=False)])])
    monkeypatch.setattr(checks, '_child', lambda *a, **k: subprocess.CompletedProcess([], 0, json.dumps(next(answers)), ''))
    monkeypatch.setattr(checks, 'driver_version', lambda: '550.1')
    wrong = [[f for f in checks.torch_and_gpu() if f.check == 'gpu'] for _ in range(3)]
    assert [f[0].status for f in wrong] == ['problem', 'problem', 'ok']
    assert 'no kernel image' in wrong[0][0].text and 'CPU build' in wrong[1][0].text and 'bf16 no' in wrong[2][0].text


def test_a_full_disk_is_a_problem(monkeypatch):
    usage = checks.shutil.disk_usage('/')
    monkeypatch.setattr(checks.shutil, 'disk_usage', lambda path: usage._replace(free=2**29))
    assert [f.status for f in checks.disk()].count('problem') == 3


def test_a_folder_of_others_is_a_warning(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, 'access', lambda path, mode: Path(path) != tmp_path)
    finding, = [f for f in checks.disk() if f.status == 'warning' and 'permission' in f.text]
    assert str(tmp_path) in finding.text and finding.command == f'cd {Path.home()}'


def test_all_ops_agree_with_plain_torch():
    rows = report('cpu', runs=1)
    assert {row['op'] for row in rows} == set(cases('cpu'))
    assert not [row for row in rows if 'failed' in row] and all(row['milliseconds'] >= 0 for row in rows)


def test_a_wrong_op_and_one_that_raises_are_named(monkeypatch):
    import mmcv.ops

    def broken(*args, **kwargs):
        raise RuntimeError('undefined symbol')

    monkeypatch.setattr(mmcv.ops, 'nms', broken)
    monkeypatch.setattr(mmcv.ops, 'roi_align', lambda x, rois, *args: x.new_zeros(1, 1, 4, 4))
    failed = {row['op']: row['failed'] for row in report('cpu', runs=1) if 'failed' in row}
    assert set(failed) == {'nms', 'roi_align'} and 'undefined symbol' in failed['nms']
