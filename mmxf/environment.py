"""Is the installed stack whole? Distributions of OpenMMLab's packages, and OpenCV without libGL.

Reads package metadata only (and imports cv2 where asked), so it is cheap enough to run whenever the stack is
loaded. ``python -m mmxf.environment`` prints what is wrong; with ``--mend`` it also repairs OpenCV.
"""
import argparse
import importlib.metadata
import subprocess
import sys
import warnings

SUMMARY = 'check the installed packages, and repair OpenCV on machines without libGL'

# Import name -> distributions that provide it, the recommended one first. All write the same folder.
PROVIDERS = {
    'mmengine': ('onedl-mmengine', 'mmengine', 'mmengine-lite'),
    'mmcv': ('onedl-mmcv', 'mmcv', 'mmcv-lite', 'mmcv-full'),
    'mmdet': ('onedl-mmdetection', 'mmdet'),
    'mmseg': ('onedl-mmsegmentation', 'mmsegmentation'),
}
OPENCV = ('opencv-python', 'opencv-contrib-python')


class EnvironmentWarning(UserWarning):
    """Packages are installed in a way that breaks sooner or later."""


def installed_version(distribution: str) -> str | None:
    """Version of a distribution, None where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def providers(package: str) -> dict[str, str]:
    """Installed distributions that provide an import name of PROVIDERS, with their versions."""
    versions = {name: installed_version(name) for name in PROVIDERS[package]}
    return {name: version for name, version in versions.items() if version is not None}


def conflicts() -> list[str]:
    """A sentence and a command for each package that two installed distributions provide."""
    problems = []
    for package in PROVIDERS:
        found = providers(package)
        if len(found) > 1:
            keep, version = next(iter(found.items()))
            names = ' and '.join(f'{name} {version}' for name, version in found.items())
            problems.append(
                f'{names} are installed together and overwrite each other in the folder {package!r}. '
                'Keep one, for example:\n'
                f'    pip uninstall -y {" ".join(found)} && pip install --no-deps {keep}=={version}')
    return problems


def missing() -> list[str]:
    """A sentence and a command for the packages that no installed distribution provides."""
    absent = [package for package in PROVIDERS if not providers(package) and not _importable(package)]
    if not absent:
        return []
    wanted = ' '.join(PROVIDERS[package][0] for package in absent)
    return [f'mmxf needs {", ".join(absent)}, not installed in {sys.prefix}. Install with\n'
            f'    pip install {wanted}']


def check_stack() -> None:
    """Call before the first import of mmengine, mmcv, mmdet or mmseg.

    Raises:
        ModuleNotFoundError: a package is missing; names it and the command that installs it.
        ImportError: cv2 is installed but cannot be loaded; names the remedy.
    """
    problems = missing()
    if problems:
        raise ModuleNotFoundError(problems[0])
    warn_of_conflicts()
    ensure_cv2()


def warn_of_conflicts() -> None:
    """Warn of every conflict, in each process once."""
    for problem in conflicts():
        if problem not in _WARNED:
            _WARNED.add(problem)
            warnings.warn(problem, EnvironmentWarning, stacklevel=2)


_WARNED: set[str] = set()


def ensure_cv2() -> None:
    """Import cv2, or raise ImportError that says how to get one that loads here."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        # A missing cv2 is a ModuleNotFoundError, a missing libGL.so.1 is not.
        if isinstance(error, ModuleNotFoundError):
            raise ModuleNotFoundError(f'{error}. Install it with\n    pip install opencv-python') from error
        command = ' '.join(['pip', *_headless_arguments()])
        raise ImportError(
            f'OpenCV cannot be loaded: {error}. The build with windows needs graphics libraries that this '
            f'machine lacks. Put the build without windows over it:\n    {command}\n'
            'or run: python -m mmxf.environment --mend') from error


def _headless_arguments() -> list[str]:
    """pip's arguments that put the headless build of the same version over the installed OpenCV.

    Over it, not instead: the metadata of opencv-python stays, which mmcv requires.
    """
    name, version = next(((n, v) for n in OPENCV if (v := installed_version(n))), (OPENCV[0], None))
    headless = f'{name}-headless' + (f'=={version}' if version else '')
    return ['install', '--force-reinstall', '--no-deps', headless]


def compile_command() -> str:
    """The command that replaces the installed mmcv by the same version with compiled ops.

    pip keeps the wheel it once built without ops, hence ``--no-cache-dir``; without build isolation the build
    sees torch, without which it compiles nothing.
    """
    name, version = next(iter(providers('mmcv').items()), ('onedl-mmcv', None))
    name = 'onedl-mmcv' if name == 'onedl-mmcv' else 'mmcv'  # the -lite distributions never compile
    pinned = f'{name}=={version}' if version else name
    return ('MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps '
            f'--no-binary {name} {pinned}')


def _importable(package: str) -> bool:
    """Whether the package is there without metadata, e.g. a source tree on PYTHONPATH."""
    import importlib.util
    return importlib.util.find_spec(package) is not None


def main(argv: list[str] | None = None) -> int:
    """Print problems; 0 when there are none (left)."""
    parser = argparse.ArgumentParser(prog='python -m mmxf.environment', description=SUMMARY)
    parser.add_argument(
        '--mend', action='store_true', help='install the headless OpenCV if cv2 cannot be loaded'
    )
    args = parser.parse_args(argv)
    problems = missing() + conflicts()
    probe = [sys.executable, '-c', 'from mmxf.environment import ensure_cv2; ensure_cv2()']
    result = subprocess.run(probe, capture_output=True, text=True)
    if result.returncode and args.mend and installed_version(OPENCV[0]):
        subprocess.run([sys.executable, '-m', 'pip', *_headless_arguments()], check=False)
        result = subprocess.run(probe, capture_output=True, text=True)
    if result.returncode:
        problems.append(result.stderr.strip().rpartition('Error: ')[2])
    print('\n'.join(problems) if problems else 'mmxf: the installed packages fit together, OpenCV loads')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
