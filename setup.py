"""Packaging of mmxf. Nothing here is compiled."""
import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Below mmxf/.mim, where mmengine looks for what 'mmxf::kmax/kmax_r50_coco.py' names.
CARRIED = ('configs', 'model-index.yml')


class BuildWithConfigs(build_py):
    """Carries the configs in the package: copied into a wheel, linked to in an editable installation."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            self.link(ROOT / 'mmxf' / '.mim')
        else:
            self.copy(Path(self.build_lib) / 'mmxf' / '.mim')

    @staticmethod
    def copy(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in CARRIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(ROOT / name, folder / name)

    @staticmethod
    def link(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for name in CARRIED:
            link = folder / name
            if not link.exists():
                try:
                    link.unlink(missing_ok=True)
                    link.symlink_to(os.path.relpath(ROOT / name, folder))
                except OSError:  # Windows without the right to; configs are then named by their paths
                    return


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def version() -> str:
    for line in (ROOT / 'mmxf' / 'version.py').read_text(encoding='utf-8').splitlines():
        if line.startswith('__version__'):
            return line.split("'")[1]
    raise RuntimeError('mmxf/version.py holds no __version__')


setup(
    name='mmxf',
    version=version(),
    description='Transformer papers for segmentation, detection, pose, depth and tracking, '
                'as registered parts wired by config files',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='The mmxf authors',
    license='Apache-2.0',
    license_files=['LICENSE', 'NOTICE'],
    keywords='panoptic segmentation, instance segmentation, semantic segmentation, transformers, OpenMMLab',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in (10, 11, 12, 13)),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Recognition',
    ],
    python_requires='>=3.10,<3.14',
    packages=find_packages(include=['mmxf', 'mmxf.*']),
    install_requires=requirements('runtime'),
    extras_require={name: requirements(name) for name in ('tests', 'optional')},
    entry_points={'console_scripts': ['mmxf = mmxf.cli.__main__:main']},
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)
