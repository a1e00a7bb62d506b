"""The house itself: rooms, names, links, packaging. Nothing is trained."""
import ast
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAPERS = sorted(path.parent.name for path in ROOT.glob('mmxf/models/*/__init__.py'))
CONFIGS = sorted(path for path in ROOT.glob('configs/*/*.py') if path.parts[-2] != '_base_')
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'), *ROOT.glob('configs/*/*.md'), ROOT / 'data/README.md'])
# Made by commands that the pages tell the reader to run, or by the reader.
MADE = ('my_kmax.py',)


def tracked() -> list[Path]:
    """Text files of the repository."""
    try:
        names = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('no git, or no checkout: cannot tell which files belong to the repository')
    binary = {'.png', '.jpg', '.npz', '.gz', '.pth'}
    paths = (ROOT / name for name in names.split('\0') if name)
    return [path for path in paths if path.is_file() and path.suffix not in binary]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_command_has_a_tool_and_a_summary():
    from mmxf.cli.__main__ import commands

    modules = {path.stem for path in ROOT.glob('mmxf/cli/[!_]*.py')}
    assert {name.replace('-', '_') for name in commands()} == modules, 'a module of mmxf/cli without SUMMARY'
    tools = {path.stem for path in ROOT.glob('tools/*.py')}
    assert tools <= modules
    for name in modules - tools:
        # Commands that install first are shell scripts.
        assert f'mmxf.cli {name}' in (ROOT / f'tools/{name}.sh').read_text()
    for name in tools:
        text = (ROOT / f'tools/{name}.py').read_text()
        assert f'from mmxf.cli.{name} import main' in text
        assert len(text.splitlines()) <= 10, f'tools/{name}.py does more than call mmxf.cli.{name}'


@pytest.mark.parametrize('path', CONFIGS, ids=relative)
def test_config_passes_the_check(path):
    from mmxf.config import load_config

    cfg = load_config(path)
    assert cfg.default_scope == 'mmxf'


@pytest.mark.parametrize('path', CONFIGS, ids=relative)
def test_config_is_named_after_its_paper_and_described(path):
    assert path.stem.startswith(path.parent.name + '_')
    assert ast.get_docstring(ast.parse(path.read_text())), 'the docstring names the row of the table'


@pytest.mark.parametrize('paper', PAPERS)
def test_paper_is_at_home_in_all_rooms(paper):
    configs = ROOT / 'configs' / paper
    assert list(configs.glob(f'{paper}_*.py')), f'no configs/{paper}/{paper}_*.py'
    assert list(configs.glob(f'{paper}_*_mini.py')), 'no mini config for MiniWorld'
    assert (configs / 'README.md').is_file()
    assert list(ROOT.glob(f'tests/models/test_{paper}*.py'))
    assert list(ROOT.glob(f'tests/parity/{paper}/*.npz'))
    assert (ROOT / f'mmxf/models/{paper}/convert.py').is_file()
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert f'configs/{paper}/metafile.yml' in index
    metafile = yaml.safe_load((configs / 'metafile.yml').read_text())
    described = {model['Config'] for model in metafile['Models']}
    assert {path for path in described if not (ROOT / path).is_file()} == set()
    assert described >= {relative(path) for path in configs.glob('*.py') if not path.stem.endswith('_mini')}


def test_papers_do_not_import_papers():
    for paper in PAPERS:
        for path in (ROOT / 'mmxf/models' / paper).glob('*.py'):
            others = re.findall(r'mmxf\.models\.(\w+)|from \.\.(\w+)', path.read_text())
            wrong = {name for pair in others for name in pair if name in PAPERS} - {paper}
            assert not wrong, f'{relative(path)} imports {wrong}'


def test_nothing_speaks_of_the_place_where_it_was_made():
    # Absolute paths of somebody's machine, and unfilled slots of tables.
    pattern = re.compile(r'/(?:work|root|home)/\w|/opt/\w|@\w+@|\bTODO\b|\bFIXME\b')
    found = [f'{relative(path)}:{number}: {line.strip()[:90]}'
             for path in tracked() if path != Path(__file__) and path.name != 'LICENSE'
             for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1) if pattern.search(line)]
    assert not found, '\n'.join(found)


def test_no_file_is_called_utils():
    assert not [path for path in tracked() if path.name in ('utils.py', 'util.py', 'misc.py', 'helpers.py')]


@pytest.mark.parametrize('page', PAGES, ids=relative)
def test_links_of_a_page_lead_somewhere(page):
    text = re.sub(r'```.*?```', '', page.read_text(encoding='utf-8'), flags=re.S)
    targets = re.findall(r'\]\(([^)\s]+)\)', text)
    local = [target.partition('#')[0] for target in targets if not re.match(r'[a-z]+:|#', target)]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing


def commands_of(page: Path) -> list[list[str]]:
    """Commands in the bash blocks of a page, as words; comments and settings of variables left out."""
    found = []
    for block in re.findall(r'```bash\n(.*?)```', page.read_text(encoding='utf-8'), flags=re.S):
        for line in block.replace('\\\n', ' ').splitlines():
            words = shlex.split(line, comments=True)
            while words and re.match(r'\w+=', words[0]):
                words.pop(0)
            if words:
                found.append(words)
    return found


@pytest.mark.parametrize('page', PAGES, ids=relative)
def test_commands_of_a_page_exist_and_take_their_arguments(page, monkeypatch):
    for words in commands_of(page):
        line = shlex.join(words)
        for word in words:
            if re.match(r'(tools|configs|benchmarks)/[\w/]+\.\w+$', word):
                assert (ROOT / word).exists(), line
        if words[0] == 'python' and words[1].startswith('tools/'):
            name, arguments = Path(words[1]).stem, words[2:]
        elif words[0] == 'mmxf' and len(words) > 1:
            name, arguments = words[1].replace('-', '_'), words[2:]
        else:
            continue
        parse = getattr(__import__(f'mmxf.cli.{name}', fromlist=['parse_args']), 'parse_args', None)
        assert parse is not None, f'mmxf.cli.{name} has no parse_args'
        try:
            parse(arguments)
        except SystemExit as stop:
            assert not stop.code, line


def test_shell_scripts_parse():
    for path in [*ROOT.glob('tools/*.sh'), ROOT / '.ci/run']:
        done = subprocess.run(['bash', '-n', str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_distribution_that_is_imported_is_required():
    # Import name -> what requirements/runtime.txt calls it. What mmxf imports beyond these it must do without.
    distributions = dict(torch='torch', numpy='numpy', scipy='scipy', cv2='opencv-python', PIL='pillow',
                         matplotlib='matplotlib', pycocotools='pycocotools', cityscapesscripts='cityscapesscripts',
                         mmengine='onedl-mmengine', mmcv='onedl-mmcv', mmdet='onedl-mmdetection',
                         mmseg='onedl-mmsegmentation', yaml='pyyaml')
    optional = {'torchvision', 'triton', 'numba', 'onnxruntime', 'onnxscript', 'fcntl', 'resource'}
    lines = (ROOT / 'requirements/runtime.txt').read_text().splitlines()
    required = {re.split(r'[<>=]', line)[0] for line in lines if line and not line.startswith('#')}
    imported = set()
    for path in ROOT.glob('mmxf/**/*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(node.module.split('.')[0])
    imported -= set(sys.stdlib_module_names) | optional | {'mmxf'}
    assert {distributions.get(name, name) for name in imported} == required


def test_the_wheel_carries_all_that_commands_need(tmp_path):
    # setuptools alone, on a copy, without isolation: seconds, and no network.
    import shutil

    pytest.importorskip('setuptools')
    source = tmp_path / 'source'
    source.mkdir()
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'NOTICE', 'MANIFEST.in', 'model-index.yml'):
        shutil.copy(ROOT / name, source)
    for name in ('mmxf', 'configs', 'requirements'):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    code = ('from setuptools import build_meta; import sys\n'
            'print(build_meta.build_wheel(sys.argv[1]))')
    done = subprocess.run([sys.executable, '-c', code, str(tmp_path)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    wheel, = tmp_path.glob('mmxf-*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {relative(path) for path in ROOT.glob('mmxf/**/*.py')} <= names
    assert {f'mmxf/.mim/{relative(path)}' for path in ROOT.glob('configs/**/*.py')} <= names
    assert 'mmxf/.mim/model-index.yml' in names
    assert not [name for name in names if name.startswith(('tests/', 'configs/', 'tools/'))]
    entry, = (name for name in names if name.endswith('entry_points.txt'))
    assert 'mmxf = mmxf.cli.__main__:main' in zipfile.ZipFile(wheel).read(entry).decode()


def test_configs_are_found_by_the_name_of_the_package(tmp_path):
    import mmxf
    from mmxf.config import load_config

    if not (Path(mmxf.__file__).parent / '.mim').is_dir():
        pytest.skip('mmxf is on the path, but not installed: pip install -e .')
    config = tmp_path / 'mine.py'
    config.write_text("_base_ = 'mmxf::kmax/kmax_r50_coco.py'\nimage_size = (65, 65)\n")
    assert load_config(config, check=False).model.data_preprocessor.pad_to == (65, 65)
