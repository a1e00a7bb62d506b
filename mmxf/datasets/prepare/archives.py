"""Unpacking official archives so that an interrupted run leaves no half file behind."""
import os
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

from .report import Progress, Report


def unpack_where_needed(archive: Path, target: Path, into: Path, report: Report, progress: Progress,
                        check_only: bool) -> None:
    """Unpacks ``archive`` into the folder ``into`` when ``target``, which it would make, is absent.

    Files are unpacked aside, on the same disk, then moved one by one: a file that is there is whole.
    """
    if target.exists() or not archive.is_file():
        return
    if check_only:
        report.notes.append(f'{archive} is there and would be unpacked')
        return
    into.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix='.unpacking-', dir=into))
    try:
        show = progress(f'unpacking {archive.name}')
        _extract(archive, aside, show)
        # Folders that mark completeness (target) are moved last, as a whole where nothing is in the way.
        for source in sorted(aside.iterdir()):
            _merge(source, into / source.name)
    except (zipfile.BadZipFile, tarfile.ReadError, EOFError) as error:
        raise ValueError(f'{archive}: broken archive ({error}); download it again') from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if not target.exists():
        raise ValueError(f'{archive}: unpacked, but it does not hold {target.relative_to(into)}')
    report.made.append(f'{target}, unpacked from {archive.name}')


def _extract(archive: Path, aside: Path, show) -> None:
    if archive.suffix == '.zip':
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            for done, member in enumerate(members, 1):
                file.extract(member, aside)  # zipfile drops '..' and absolute paths by itself
                show(done, len(members))
        return
    with tarfile.open(archive) as file:
        safe = {'filter': 'data'} if hasattr(tarfile, 'data_filter') else {}
        members = [member for member in file.getmembers() if member.isfile() or member.isdir()]
        for done, member in enumerate(members, 1):
            if member.name.startswith('/') or '..' in Path(member.name).parts:
                raise ValueError(f'{archive}: member {member.name!r} points outside; not an official archive')
            file.extract(member, aside, **safe)
            show(done, len(members))


def _merge(source: Path, destination: Path) -> None:
    if source.is_dir() and destination.is_dir():
        for child in sorted(source.iterdir()):
            _merge(child, destination / child.name)
    else:
        os.replace(source, destination)
