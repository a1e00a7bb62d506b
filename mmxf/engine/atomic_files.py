"""Files that are either whole or not there, and the newest whole checkpoint of a run's folder."""
from __future__ import annotations

import os
import re
import shutil
import zipfile
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

_TEMPORARY = re.compile(r'^\..+\.\d+\.tmp$')


class CheckpointWriteError(OSError):
    """A file could not be written; what was there before is untouched."""


def write_atomically(path: str | os.PathLike, data: bytes) -> None:
    """Write a file so that a kill or a full disk at any moment leaves the old file, or the new one, whole.

    A temporary file in the same folder is written, flushed to the disk, and renamed.

    Raises:
        CheckpointWriteError: with the file, the size and the space that is left.
    """
    path = Path(path)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        try:
            temporary.unlink(missing_ok=True)
        except OSError:
            pass
        raise CheckpointWriteError(error.errno, f'could not write {path} ({len(data) / 1e6:.1f} MB, '
                                   f'{_free_space(path.parent)}): {error.strerror or error}. What was saved before '
                                   'is untouched; free space on that disk or set another work_dir') from error


def _flush_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut; some file systems do not offer it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _free_space(folder: Path) -> str:
    try:
        return f'{shutil.disk_usage(folder).free / 1e6:.1f} MB free'
    except OSError:
        return 'free space unknown'


def remove_leftovers(folder: str | os.PathLike) -> list[str]:
    """Delete temporary files that killed writers left in a folder; returns their names."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir() if _TEMPORARY.match(entry.name)]
    for name in names:
        (folder / name).unlink(missing_ok=True)
    return names


@register_backend('mmxf_atomic', force=True)
class AtomicLocalBackend(LocalBackend):
    """mmengine's local file backend with atomic writes: ``backend_args=dict(backend='mmxf_atomic')``."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        write_atomically(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        write_atomically(filepath, obj.encode(encoding))


def damage_of(path: str | os.PathLike) -> str | None:
    """Why a checkpoint file cannot be used (absent, cut off, changed bytes), or None when it is whole.

    Reads the file once (checksums of the archive that ``torch.save`` writes), about a second per GB.
    """
    path = Path(path)
    if not path.is_file():
        return 'the file does not exist'
    if path.stat().st_size == 0:
        return 'the file is empty'
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, ValueError) as error:
        return f'not a complete checkpoint archive ({error})'
    return f'checksum of {bad} is wrong' if bad else None


def newest_complete_checkpoint(folder: str | os.PathLike, filename_tmpl: str = 'iter_{}.pth',
                               pointer: str | os.PathLike | None = None) -> tuple[str | None, list[str]]:
    """Newest checkpoint of a folder that is whole.

    Args:
        folder: where checkpoints lie.
        filename_tmpl: their name with ``{}`` for the step.
        pointer: the file that names the last one saved, tried first when it is not older than the others.

    Returns:
        path or None, and a line for every newer one that is damaged.
    """
    folder = Path(folder)
    pattern = re.compile(re.escape(filename_tmpl).replace(re.escape('{}'), r'(\d+)') + '$')
    steps: dict[Path, int] = {}
    if folder.is_dir():
        for entry in folder.iterdir():
            match = pattern.match(entry.name)
            if match:
                steps[entry.resolve()] = int(match.group(1))
    skipped = []
    for path in _newest_first(steps, _read_pointer(pointer)):
        damage = damage_of(path)
        if damage is None:
            return str(path), skipped
        skipped.append(f'{path}: {damage}')
    return None, skipped


def _newest_first(steps: dict[Path, int], pointed: Path | None) -> list[Path]:
    """Files by step, but what the pointer names comes before files of an earlier run that went further.

    A file with a higher step is newer than the pointer only if it was not written earlier: the run was then killed
    between writing the checkpoint and the pointer.
    """
    ordered = sorted(steps, key=steps.get, reverse=True)
    if pointed is None:
        return ordered
    written = pointed.stat().st_mtime_ns if pointed.is_file() else None
    step = steps.get(pointed)
    later, earlier, foreign = [], [], []
    for path in ordered:
        if path == pointed:
            continue
        if step is None or steps[path] < step:
            earlier.append(path)
        elif written is None or path.stat().st_mtime_ns >= written:
            later.append(path)
        else:
            foreign.append(path)
    return [*later, pointed, *earlier, *foreign]


def _read_pointer(pointer: str | os.PathLike | None) -> Path | None:
    if pointer is None or not Path(pointer).is_file():
        return None
    text = Path(pointer).read_text(errors='replace').strip()
    return Path(text).resolve() if text else None
