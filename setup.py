"""Packaging of mmxf. Nothing here is compiled."""
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def version() -> str:
    for line in (ROOT / 'mmxf' / 'version.py').read_text().splitlines():
        if line.startswith('__version__'):
            return line.split("'")[1]
    raise RuntimeError('mmxf/version.py holds no __version__')


setup(
    name='mmxf',
    version=version(),
    description='Transformer papers for segmentation, detection, pose, depth and tracking, '
                'as registered parts wired by config files',
    long_description=(ROOT / 'README.md').read_text() if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10,<3.14',
    packages=find_packages(include=['mmxf', 'mmxf.*']),
    install_requires=requirements('runtime'),
    extras_require={name: requirements(name) for name in ('tests', 'optional')},
    entry_points={'console_scripts': ['mmxf = mmxf.cli.__main__:main']},
)
