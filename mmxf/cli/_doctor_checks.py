"""What ``mmxf doctor`` looks at. Each check returns findings; the heavy ones run in processes of their own."""
from __future__ import annotations

import csv
import importlib.machinery
import importlib.metadata
import json
import os
import re
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from mmxf import environment

PYTHON = ((3, 10), (3, 13))
TORCH = (2, 4)
OPENCV = ('opencv-python', 'opencv-contrib-python', 'opencv-python-headless', 'opencv-contrib-python-headless')
# Import names that a folder on PYTHONPATH must not hide, and a distribution of each.
WATCHED = {'torch': 'torch', 'numpy': 'numpy', 'cv2': None, 'mmxf': 'mmxf', **dict.fromkeys(environment.PROVIDERS)}
MIN_FREE_GB = 2.0


@dataclass
class Finding:
    """One line of the report.

    Args:
        check: what was looked at.
        status: 'ok', 'note' (nothing to mend), 'warning' or 'problem'.
        text: what was found.
        command: what mends it, one command.
    """

    check: str
    status: str
    text: str
    command: str | None = None

    def as_dict(self) -> dict:
        return asdict(self)


def python() -> Iterator[Finding]:
    version = sys.version_info[:2]
    where = f'{sys.version.split()[0]} at {sys.executable}'
    if PYTHON[0] <= version <= PYTHON[1]:
        yield Finding('python', 'ok', where)
    else:
        yield Finding('python', 'problem', f'{where}; mmxf needs {_dots(PYTHON[0])} to {_dots(PYTHON[1])}',
                      f'uv venv --python {_dots(PYTHON[1])} && . .venv/bin/activate && bash tools/install.sh')


def packages() -> Iterator[Finding]:
    """OpenMMLab's packages: who provides each, whether two do, whether the files are still those of the distribution."""
    for problem in environment.missing() + environment.conflicts():
        text, _, command = problem.partition('\n')
        yield Finding('packages', 'problem', text.replace(' Keep one, for example:', '').removesuffix(' Install with'),
                      command.strip())
    for package in environment.PROVIDERS:
        found = environment.providers(package)
        for name, version in found.items():
            told = f'{package} {version} from {name}'
            command = f'pip install --force-reinstall --no-deps {name}=={version}'
            if len(found) > 1:
                continue        # reported above
            lost = lost_files(name)
            written = version_in_files(package)
            if lost:
                yield Finding('packages', 'problem', f'{told}: {len(lost)} of its files are gone ({lost[0]}), as after '
                              'another distribution of the same package was uninstalled', command)
            elif written and not _same_version(written, version):
                yield Finding('packages', 'problem', f'{told}, but the files say {written}: another distribution of '
                              f'{package} was installed over it', command)
            else:
                yield Finding('packages', 'ok', told)


def lost_files(distribution: str) -> list[str]:
    """Python files that a distribution's record lists and that are not there."""
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return []
    # Not `found.files`, which from Python 3.12 on leaves out what is not there.
    rows = csv.reader((found.read_text('RECORD') or '').splitlines())
    return [row[0] for row in rows if row and row[0].endswith('.py') and not Path(found.locate_file(row[0])).is_file()]


def version_in_files(package: str) -> str | None:
    """``__version__`` of a package's version.py, read without importing it."""
    spec = importlib.machinery.PathFinder.find_spec(package)
    if spec is None or not spec.origin:
        return None
    path = Path(spec.origin).parent / 'version.py'
    match = re.search(r"^__version__ *= *['\"]([^'\"]+)", path.read_text(errors='replace'), re.M) if path.is_file() else None
    return match.group(1) if match else None


def requirements() -> Iterator[Finding]:
    """What mmxf asks for in its metadata against what is installed."""
    try:
        wanted = importlib.metadata.requires('mmxf') or []
        from packaging.requirements import Requirement
    except (importlib.metadata.PackageNotFoundError, ImportError):
        yield Finding('requirements', 'note', 'mmxf runs from a folder, not installed: versions were not compared')
        return
    wrong = []
    for text in wanted:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({'extra': ''}):
            continue
        version = environment.installed_version(need.name)
        if version is None and _told_elsewhere(need.name):
            continue
        if version is None or not need.specifier.contains(version, prereleases=True):
            wrong.append((str(need), version))
    for need, version in wrong:
        yield Finding('requirements', 'problem', f'{need} is wanted, ' + (f'{version} is installed' if version else
                      'nothing is installed'), f"pip install '{need}'")
    if not wrong:
        yield Finding('requirements', 'ok', f'{len(wanted)} requirements are met')


def _told_elsewhere(name: str) -> bool:
    """Whether packages() says who provides an absent distribution's package, or that nobody does; or another OpenCV is there."""
    return any(name in names for names in environment.PROVIDERS.values()) or \
        name in OPENCV and any(environment.installed_version(other) for other in OPENCV)


def opencv() -> Iterator[Finding]:
    """Flavours of OpenCV write one folder; the last one installed wins."""
    found = {name: version for name in OPENCV if (version := environment.installed_version(name))}
    keep = next(iter(found), OPENCV[0])
    told = ', '.join(f'{name} {version}' for name, version in found.items()) or 'no distribution'
    # The headless build of the same version over the other is what mmxf's own repair does.
    kinds = {name.removesuffix('-headless') for name in found}
    if len(kinds) > 1 or len(set(found.values())) > 1:
        yield Finding('opencv', 'problem', f'{told} write the same folder cv2, and only the last one is whole',
                      f'pip uninstall -y {" ".join(found)} && pip install {keep}=={found[keep]} && '
                      'python -m mmxf.environment --mend')
        return
    done = _child('from mmxf.environment import ensure_cv2; ensure_cv2(); import cv2; print(cv2.__version__)')
    if done.returncode:
        line = (done.stderr.strip().splitlines() or ['it ends without a word'])[-1]
        yield Finding('opencv', 'problem', f'{told}: cv2 cannot be loaded ({line[:160]})',
                      'python -m mmxf.environment --mend' if found else 'pip install opencv-python')
    else:
        yield Finding('opencv', 'ok', f'{told}; cv2 {done.stdout.strip()} loads')


def shadows() -> Iterator[Finding]:
    """Folders on PYTHONPATH, or the present one, that hide an installed package."""
    entries = [Path(entry or '.').resolve() for entry in os.environ.get('PYTHONPATH', '').split(os.pathsep) if entry]
    hidden = 0
    for name in WATCHED:
        for entry, kind in [*((e, 'PYTHONPATH') for e in entries), (Path.cwd(), 'the present folder')]:
            spec = importlib.machinery.PathFinder.find_spec(name, [str(entry)])
            if spec is None or spec.origin is None:
                continue
            others = [p for p in sys.path if p and Path(p).resolve() != entry and 'site-packages' in p]
            installed = importlib.machinery.PathFinder.find_spec(name, others)
            # The mmxf that runs may be anywhere, of an editable installation.
            origin = Path(__file__).parents[1] / '__init__.py' if name == 'mmxf' else installed and installed.origin
            if origin is None or Path(origin).samefile(spec.origin):
                continue
            hidden += 1
            if kind == 'PYTHONPATH':
                kept = os.pathsep.join(str(e) for e in entries if e != entry)
                command = f'export PYTHONPATH={kept}' if kept else 'unset PYTHONPATH'
            else:
                command = f'cd {Path.home()}'
            yield Finding('shadows', 'problem', f'{kind} ({entry}) hides the installed {name}: {spec.origin} is imported, not '
                          f'{origin}', command)
            break
    if not hidden:
        yield Finding('shadows', 'ok', 'no folder hides an installed package')


def torch_and_gpu() -> Iterator[Finding]:
    """Versions, and whether torch, driver and GPU fit together; asked in a process of their own."""
    done = _child(_ASK_TORCH, timeout=180)
    if done.returncode:
        line = (done.stderr.strip().splitlines() or [f'exit status {done.returncode}'])[-1]
        yield Finding('torch', 'problem', f'torch cannot be imported: {line[:200]}', 'pip install --force-reinstall torch')
        return
    told = json.loads(done.stdout.strip().splitlines()[-1])
    version = tuple(int(part) for part in re.findall(r'\d+', told['version'])[:2])
    text = f'{told["version"]}, built for ' + (f'CUDA {told["cuda"]}' if told['cuda'] else f'ROCm {told["hip"]}' if told['hip']
                                               else 'CPUs') + f', {told["threads"]} threads'
    if version < TORCH:
        yield Finding('torch', 'problem', f'{text}; mmxf needs {_dots(TORCH)} or newer',
                      f"pip install -U 'torch>={_dots(TORCH)}'")
    else:
        yield Finding('torch', 'ok', text)
    driver = driver_version()
    if driver and not told['cuda'] and not told['hip']:
        yield Finding('gpu', 'problem', f'the driver {driver} is there, but torch is a CPU build',
                      'pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126')
    elif driver and told['cuda'] and not told['gpus']:
        yield Finding('gpu', 'problem', f'the driver {driver} is there, but torch finds no GPU' + (
            f': {told["error"]}' if told['error'] else ' (CUDA_VISIBLE_DEVICES='
            f'{os.environ.get("CUDA_VISIBLE_DEVICES", "not set")}; driver older than CUDA {told["cuda"]} wants?)'),
            'unset CUDA_VISIBLE_DEVICES' if os.environ.get('CUDA_VISIBLE_DEVICES') == '' else
            'pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu118')
    elif not told['gpus']:
        yield Finding('gpu', 'note', 'none: everything runs on the CPU')
    for number, gpu in enumerate(told['gpus']):
        text = f'{number}: {gpu["name"]}, {gpu["memory_gb"]:.0f} GB, driver {driver or "unknown"}, bf16 ' + (
            'yes' if gpu['bf16'] else 'no: use float16 with loss scaling, or float32')
        if not gpu['usable']:
            yield Finding('gpu', 'problem', f'{text}; this torch holds no code for it ({gpu["error"]})',
                          'pip install --force-reinstall torch')
        else:
            yield Finding('gpu', 'ok', text)


_ASK_TORCH = '''
import json, torch
cuda = torch.cuda
told = dict(version=torch.__version__, cuda=torch.version.cuda, hip=torch.version.hip, threads=torch.get_num_threads(),
            gpus=[], error="")
try:
    count = cuda.device_count() if cuda.is_available() else 0
    if torch.version.cuda and not count:
        try:
            cuda.init()
        except Exception as error:
            told["error"] = str(error).splitlines()[0]
    for i in range(count):
        p = cuda.get_device_properties(i)
        gpu = dict(name=p.name, memory_gb=p.total_memory / 2**30, bf16=p.major >= 8, usable=True, error="")
        try:
            with cuda.device(i):
                gpu["bf16"] = bool(cuda.is_bf16_supported(including_emulation=False))
                float(torch.ones(8, device=f"cuda:{i}").sum())
        except Exception as error:
            gpu.update(usable=False, error=str(error).splitlines()[0])
        told["gpus"].append(gpu)
except Exception as error:
    told["error"] = str(error).splitlines()[0]
print(json.dumps(told))
'''


def driver_version() -> str | None:
    """Of the NVIDIA driver, None where there is none."""
    try:
        text = Path('/proc/driver/nvidia/version').read_text()
        match = re.search(r'Kernel Module.*?\s(\d+\.\d+[.\d]*)', text)
        return match.group(1) if match else None
    except OSError:
        pass
    if shutil.which('nvidia-smi'):
        done = subprocess.run(['nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'], capture_output=True,
                              text=True)
        return done.stdout.split()[0] if done.returncode == 0 and done.stdout.split() else None
    return None


def compiled_ops() -> Iterator[Finding]:
    """mmcv's extension: compiled and loading, or the stand-in."""
    done = _child('import mmxf\nfrom mmxf.ops.extension import compiled_ops_available as c\nok = c()\n'
                  'import mmcv._ext\nprint("compiled" if ok else "stand-in")', timeout=180)
    if done.returncode:
        line = (done.stderr.strip().splitlines() or [f'exit status {done.returncode}'])[-1]
        yield Finding('ops', 'problem', f'the compiled extension of mmcv does not load ({line[:200]}); it was built for another '
                      'torch. Take it away, or compile it again as docs/install.md says',
                      f'pip install --force-reinstall --no-deps {next(iter(environment.providers("mmcv")), "onedl-mmcv")}')
        return
    kind = done.stdout.strip().splitlines()[-1]
    yield Finding('ops', 'ok', "compiled extension of mmcv" if kind == 'compiled' else
                  "mmxf's stand-in for mmcv's compiled extension (docs/install.md says when compiling pays)")


def cpu_kernels() -> Iterator[Finding]:
    """numba, which mmdetection brings along and one operator and one metric are several times faster with."""
    done = _child('import torch, numba\nfrom mmxf.ops import rational_numba\n'
                  'rational_numba.functions(5, 4, torch.float32)\n'
                  'from mmxf.evaluation import pixel_loops\nprint(numba.__version__)', timeout=180)
    if done.returncode:
        line = (done.stderr.strip().splitlines() or [f'exit status {done.returncode}'])[-1]
        yield Finding('ops', 'warning', "on the CPU KAT's rational function and the scoring of panoptic PNGs are several times "
                      f'slower: numba cannot be used ({line[:200]})', 'pip install -U numba')
    else:
        yield Finding('ops', 'ok', f"numba {done.stdout.strip().splitlines()[-1]} compiles KAT's rational function "
                      'and the scoring of panoptic PNGs')


def disk() -> Iterator[Finding]:
    """Room for checkpoints, downloads and temporary files, and for what workers share."""
    cache = Path(os.environ.get('TORCH_HOME', Path(os.environ.get('XDG_CACHE_HOME', '~/.cache')) / 'torch')).expanduser()
    places = {'the present folder': Path.cwd(), "torch's cache": cache, 'temporary files': Path(os.environ.get('TMPDIR', '/tmp'))}
    for what, path in places.items():
        while not path.exists():
            path = path.parent
        free = shutil.disk_usage(path).free / 2**30
        text = f'{free:.1f} GB free for {what} ({path})'
        if free < MIN_FREE_GB:
            yield Finding('disk', 'problem', f'{text}: a checkpoint may not fit', f'du -xh -d2 {path} | sort -h | tail -20')
        elif not os.access(path, os.W_OK | os.X_OK):
            yield Finding('disk', 'warning', f'no permission to write into {path}, for {what}',
                          f'cd {Path.home()}' if path == Path.cwd() else f'ls -ld {path}')
        else:
            yield Finding('disk', 'ok', text)
    if Path('/dev/shm').is_dir():
        shared = shutil.disk_usage('/dev/shm').total / 2**30
        if shared < 0.5:
            yield Finding('disk', 'warning', f'/dev/shm has {shared:.2f} GB, too little for data workers to hand batches over '
                          '(bus errors)', 'mount -o remount,size=8G /dev/shm')


def self_test(device: str) -> tuple[list[Finding], list[dict]]:
    """Runs every op on a device in a process of its own; the findings, and the rows with times."""
    done = subprocess.run([sys.executable, '-m', 'mmxf.cli._self_test', device], capture_output=True, text=True, env=_env())
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]
    findings = []
    for row in rows:
        if 'failed' in row:
            findings.append(Finding('self-test', 'problem', f'{row["op"]} on {device}: {row["failed"]}', _mend_ops()))
    if done.returncode:
        line = (done.stderr.strip().splitlines() or [f'exit status {done.returncode}'])[-1]
        findings.append(Finding('self-test', 'problem', f'the self-test on {device} broke off after {len(rows)} ops: '
                                f'{line[:200]}', _mend_ops()))
    if not findings:
        findings.append(Finding('self-test', 'ok', f'{len(rows)} ops on {device} agree with plain torch'))
    return findings, rows


def _mend_ops() -> str:
    return f'pip install --force-reinstall --no-deps {next(iter(environment.providers("mmcv")), "onedl-mmcv")}'


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (python, requirements, packages, shadows, opencv, torch_and_gpu,
                                                      compiled_ops, cpu_kernels, disk)
# Those that import packages in a child, and find what a user's run would; with problems of these they would blame what is sound.
BLAMING = {opencv: ('shadows', ), torch_and_gpu: ('shadows', ), cpu_kernels: ('shadows', 'torch'),
           **dict.fromkeys((compiled_ops, self_test), ('shadows', 'torch', 'opencv', 'packages'))}


def for_this_python(command: str) -> str:
    """A command that mends, with this Python's own pip and python where the shell would find another's."""
    for tool, full in (('pip', f'{sys.executable} -m pip'), ('python', sys.executable)):
        found = shutil.which(tool)
        if found is None or Path(found).parent != Path(sys.executable).parent:
            command = re.sub(rf'(^|&& ){tool} ', lambda match, full=full: f'{match[1]}{full} ', command)
    return command


def _env() -> dict[str, str]:
    # The child finds mmxf where this process did, but sees the user's PYTHONPATH first, as any of his runs would.
    home = Path(__file__).resolve().parents[2]
    # Not site-packages, where mmxf may lie: the child has that anyway, and before the standard library it hides modules of it.
    given = [] if home in {Path(path).resolve() for path in _site_packages()} else [str(home)]
    paths = [path for path in (os.environ.get('PYTHONPATH'), *given) if path]
    return dict(os.environ, PYTHONPATH=os.pathsep.join(paths)) if paths else dict(os.environ)


def _site_packages() -> list[str]:
    return [*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_path('purelib'), sysconfig.get_path('platlib')]


def _child(code: str, timeout: float = 120) -> subprocess.CompletedProcess:
    try:
        return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=timeout, env=_env())
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess([], 1, '', f'no answer within {timeout:.0f} s')


def _same_version(a: str, b: str) -> bool:
    return a.partition('+')[0] == b.partition('+')[0]


def _dots(version: tuple[int, ...]) -> str:
    return '.'.join(map(str, version))
