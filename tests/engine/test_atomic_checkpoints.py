"""Checkpoints are whole or not there; the last good one survives full disks, kills and damage."""
import errno
import logging
import os

import pytest
import torch

from mmxf.engine import atomic_files
from mmxf.engine.atomic_files import (
    CheckpointWriteError,
    damage_of,
    newest_complete_checkpoint,
    remove_leftovers,
    write_atomically,
)


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.pth'
    write_atomically(path, b'old')

    def full(handle):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(atomic_files.os, 'fsync', full)
    with pytest.raises(CheckpointWriteError, match=r'a.pth \(0.0 MB, .* free\): No space left.*untouched'):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old' and os.listdir(tmp_path) == ['a.pth']


def test_a_kill_leaves_a_temporary_file_that_is_removed(tmp_path):
    (tmp_path / '.iter_4.pth.1234.tmp').write_bytes(b'half')
    (tmp_path / 'iter_2.pth').write_bytes(b'x')
    assert remove_leftovers(tmp_path) == ['.iter_4.pth.1234.tmp']
    assert os.listdir(tmp_path) == ['iter_2.pth']


def checkpoint(path, value):
    torch.save({'w': torch.full((100,), float(value))}, path)
    return str(path.resolve())


def test_newest_whole_checkpoint(tmp_path):
    paths = {n: checkpoint(tmp_path / f'iter_{n}.pth', n) for n in (2, 4, 10)}
    pointer = tmp_path / 'last_checkpoint'
    assert newest_complete_checkpoint(tmp_path) == (paths[10], [])
    pointer.write_text(paths[4])  # a new run in the folder of one that went further
    os.utime(paths[10], (1, 1))
    assert newest_complete_checkpoint(tmp_path, pointer=pointer)[0] == paths[4]
    os.utime(paths[10])  # killed between writing iter_10 and the pointer
    assert newest_complete_checkpoint(tmp_path, pointer=pointer)[0] == paths[10]
    data = bytearray((tmp_path / 'iter_10.pth').read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / 'iter_10.pth').write_bytes(data)
    assert 'checksum' in damage_of(paths[10])
    (tmp_path / 'iter_4.pth').write_bytes(data[:300])
    os.utime(paths[10])
    path, skipped = newest_complete_checkpoint(tmp_path, pointer=pointer)
    assert path == paths[2] and len(skipped) == 2 and all('iter_' in line for line in skipped)
    pointer.write_text('')
    assert newest_complete_checkpoint(tmp_path, pointer=pointer)[0] == paths[2]
    assert newest_complete_checkpoint(tmp_path / 'nowhere') == (None, [])


@pytest.fixture
def log(caplog):
    yield lambda: '\n'.join(record.getMessage() for record in caplog.records)


def run(toy, tmp_path, caplog, **kwargs):
    """Train with the run's log going to caplog."""
    from mmengine.logging import MMLogger
    build = toy.Runner.build_logger

    def build_logger(self, *args, **kw):
        logger = build(self, *args, **kw)
        logger.addHandler(caplog.handler)
        return logger

    toy.Runner.build_logger = build_logger
    try:
        return toy.train(work_dir=str(tmp_path), **kwargs)
    finally:
        toy.Runner.build_logger = build
        for logger in MMLogger._instance_dict.values():
            logger.removeHandler(caplog.handler)


def test_full_disk_is_reported_and_the_run_goes_on(toy, tmp_path, caplog, log, monkeypatch):
    write = atomic_files.write_atomically

    def full_at_4(path, data):
        if 'iter_4' in str(path):
            raise CheckpointWriteError(errno.ENOSPC, f'could not write {path}')
        write(path, data)

    monkeypatch.setattr(atomic_files, 'write_atomically', full_at_4)
    run(toy, tmp_path, caplog, length=6, hook={'max_keep_ckpts': 2})
    assert 'iter_4.pth was not saved' in log() and 'iter_2.pth' in log()
    assert {p.name for p in tmp_path.glob('iter_*')} == {'iter_2.pth', 'iter_6.pth'}
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_6.pth')


def test_full_disk_at_the_end_is_an_error(toy, tmp_path, monkeypatch):
    write = atomic_files.write_atomically

    def full_at_4(path, data):
        if 'iter_4' in str(path):
            raise CheckpointWriteError(errno.ENOSPC, f'could not write {path}')
        write(path, data)

    monkeypatch.setattr(atomic_files, 'write_atomically', full_at_4)
    with pytest.raises(CheckpointWriteError, match='(?s)iter_4.*last good one is .*iter_2.pth'):
        toy.train(work_dir=str(tmp_path), length=4, hook={'max_keep_ckpts': 1})
    assert damage_of(tmp_path / 'iter_2.pth') is None
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_2.pth')


def test_outdated_ones_go_only_after_the_new_one_is_there(toy, tmp_path, monkeypatch):
    from mmengine.fileio import LocalBackend
    remove, seen = LocalBackend.remove, []

    def watch(self, path):
        seen.append((os.path.basename(path), sorted(p.name for p in tmp_path.glob('*.pth'))))
        remove(self, path)

    monkeypatch.setattr(LocalBackend, 'remove', watch)
    toy.train(work_dir=str(tmp_path), length=6, val=2, hook={'max_keep_ckpts': 1, 'save_best': 'error',
                                                             'rule': 'less'})
    assert ('iter_2.pth' in dict(seen)) and ('iter_4.pth' in dict(seen))
    for gone, files in seen:
        assert len([f for f in files if f.startswith(gone.split('iter')[0] + 'iter')]) == 2, (gone, files)
    left = {p.name for p in tmp_path.glob('*iter_*.pth')}
    assert 'iter_6.pth' in left and len([name for name in left if name.startswith('best')]) == 1


def test_resume_passes_over_a_damaged_checkpoint(toy, tmp_path, caplog, log):
    toy.train(work_dir=str(tmp_path), length=6)
    expected = torch.load(tmp_path / 'final.pth')
    (tmp_path / 'iter_6.pth').write_bytes((tmp_path / 'iter_6.pth').read_bytes()[:-200])
    (tmp_path / 'iter_4.pth').write_bytes(b'')
    run(toy, tmp_path, caplog, length=6, resume=True)
    assert 'iter_6.pth: not a complete' in log() and 'iter_4.pth: the file is empty' in log()
    result = torch.load(tmp_path / 'final.pth')
    assert all(torch.equal(expected[key], result[key]) for key in expected)
    for path in tmp_path.glob('iter_*'):
        path.write_bytes(b'PK')
    with pytest.raises(FileNotFoundError, match='No whole checkpoint to resume from'):
        toy.train(work_dir=str(tmp_path), length=6, resume=True)
    with pytest.raises(FileNotFoundError, match='Cannot resume from .*iter_2.pth'):
        toy.train(work_dir=str(tmp_path), length=6, resume=True, load_from=str(tmp_path / 'iter_2.pth'))


def test_resuming_without_a_checkpoint_starts_anew(toy, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    run(toy, tmp_path, caplog, length=2, resume=True)
    assert (tmp_path / 'iter_2.pth').is_file()
