"""``mmxf COMMAND``, ``python -m mmxf.cli`` and tools/*.py: found, described, quick."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmxf.cli.__main__ import commands, main

ROOT = Path(__file__).parents[2]
HEAVY = ('torch', 'mmdet', 'mmseg', 'mmcv.ops')


def python(*args: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **env})


def test_every_command_has_a_summary_of_one_line():
    assert {'train', 'test', 'check-config', 'print-config'} <= set(commands())
    for name, summary in commands().items():
        assert summary and '\n' not in summary, name


def test_the_overview_lists_all_commands(capsys):
    assert main([]) == 0
    text = capsys.readouterr().out
    for name in commands():
        assert f'  {name} ' in text


def test_a_wrong_command_is_answered_with_the_right_one(capsys):
    assert main(['trian']) == 2
    assert "there is no command 'trian'; did you mean 'train'?" in capsys.readouterr().err


def test_underscores_are_dashes(capsys):
    with pytest.raises(SystemExit) as stop:
        main(['check_config', '--help'])
    assert stop.value.code == 0
    assert 'CONFIG' in capsys.readouterr().out


def test_version(capsys):
    from mmxf import __version__

    assert main(['--version']) == 0
    assert capsys.readouterr().out.strip() == f'mmxf {__version__}'


def test_the_overview_is_quick(cpu_seconds):
    seconds, _ = cpu_seconds('-m', 'mmxf.cli')
    assert seconds < 1.0  # 0.5 s is the promise; a slow machine gets twice that


@pytest.mark.parametrize('name', sorted(commands()))
def test_help_is_quick_and_imports_nothing_heavy(name, cpu_seconds):
    module = name.replace('-', '_')
    code = (
        f'import sys\nfrom mmxf.cli.{module} import main\n'
        "try:\n    main(['--help'])\nexcept SystemExit as stop:\n    assert not stop.code\n"
        f'bad = [name for name in {HEAVY} if name in sys.modules]\nassert not bad, bad\n'
    )
    seconds, output = cpu_seconds('-c', code)
    assert 'usage' in output
    assert seconds < 1.0


@pytest.mark.parametrize('name', ['train', 'test', 'check_config', 'print_config'])
def test_tools_are_thin_and_call_the_same_code(name):
    tree = ast.parse((ROOT / 'tools' / f'{name}.py').read_text())
    assert len(tree.body) <= 5
    done = python(f'tools/{name}.py', '--help')
    assert done.returncode == 0 and 'CONFIG' in done.stdout


def test_a_reader_that_leaves_is_no_error():
    command = subprocess.Popen([sys.executable, 'tools/print_config.py', 'configs/kmax/kmax_r18_mini.py'], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    command.stdout.close()
    complaint = command.stderr.read()
    assert command.wait() == 141 and not complaint
