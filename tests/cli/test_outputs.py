"""Where results cannot be written is said before the work, by every command, without a traceback."""
import importlib
import os
from pathlib import Path

import pytest

from mmxf.cli._outputs import check_file, check_folder
from mmxf.config import UserError

CONFIG = 'configs/kmax/kmax_r18_mini.py'
COMMANDS = [
    ('train', [CONFIG, '--work-dir', '{out}']),
    ('test', [CONFIG, 'no.pth', '--work-dir', '{out}']),
    ('test', [CONFIG, 'no.pth', '--show-dir', '{out}']),
    ('test', [CONFIG, 'no.pth', '--confusion', '{out}']),
    ('test', [CONFIG, 'no.pth', '--out', '{out}/metrics.json']),
    ('demo', ['no.jpg', CONFIG, 'no.pth', '--out-dir', '{out}']),
    ('export', [CONFIG, 'no.pth', '--format', 'torch-export', '--out', '{out}/model.pt2']),
    ('publish_model', [CONFIG, 'no.pth', '--out-dir', '{out}']),
    ('plot_log', ['no', '--out', '{out}/curve.png']),
    ('check_dataset', [CONFIG, '--out-dir', '{out}']),
    ('check_dataset', [CONFIG, '--json', '{out}/report.json']),
    ('browse_dataset', [CONFIG, '--out-dir', '{out}']),
    ('benchmark', [CONFIG, '--json', '{out}/numbers.json']),
    ('get_flops', [CONFIG, '--json', '{out}/numbers.json']),
    ('eval_panoptic', ['--gt', 'no.json', '--pred', 'no.json', '--out', '{out}/scores.json']),
    ('convert_checkpoint', ['kmax', 'no.pth', '{out}/converted.pth']),
]


@pytest.mark.parametrize('command, arguments', COMMANDS, ids=lambda value: value if isinstance(value, str) else value[-2])
def test_a_command_says_so_first(command, arguments, tmp_path, capsys):
    (tmp_path / 'taken').write_text('a file where a folder is wanted')
    arguments = [argument.format(out=tmp_path / 'taken' / 'deeper') for argument in arguments]
    assert importlib.import_module(f'mmxf.cli.{command}').main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith('error: ') and f"{tmp_path / 'taken'} is a file, no folder" in error
    assert (arguments[-2] if arguments[-2].startswith('--') else 'OUT') in error


def test_what_is_asked(tmp_path, monkeypatch):
    check_folder(None, '--x')
    check_folder(tmp_path / 'new/and/deep', '--x')
    check_file(tmp_path / 'new.json', '--x')
    monkeypatch.chdir(tmp_path)
    check_file('new.json', '--x')
    assert not os.listdir(tmp_path)
    with pytest.raises(UserError, match='--x .*: a folder; name the file'):
        check_file(tmp_path, '--x')
    Path('link').symlink_to('nowhere')
    with pytest.raises(UserError, match='the link .*link leads nowhere'):
        check_folder('link/deep', '--x')
    monkeypatch.setattr(os, 'access', lambda path, mode: False)      # root may write anywhere
    with pytest.raises(UserError, match=f'no permission to write into {tmp_path};'):
        check_folder('new/deep', '--x')


def test_what_is_not_allowed_later_needs_no_traceback_either(monkeypatch, capsys):
    from mmxf.cli import plot_log

    def refused(*_):
        raise PermissionError(13, 'Permission denied', '/of/others/scalars.json')

    monkeypatch.setattr('mmxf.visualization.curves.read_scalars', refused)
    assert plot_log.main(['run']) == 1
    assert "Permission denied: '/of/others/scalars.json'" in capsys.readouterr().err
