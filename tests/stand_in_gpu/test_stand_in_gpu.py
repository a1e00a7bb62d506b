"""What fails on a GPU because of where tensors lie, found without one."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from packaging.version import Version

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
WORLDS = {'': ['--train', '8', '--val', '2'], 'people': ['--people', '--frames', '120'],
          'depth': ['--depth', '--size', '128', '64', '--train', '4', '--val', '2']}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != 'linux' or not shutil.which('g++'), reason='the stand-in GPU needs Linux and g++'),
    pytest.mark.skipif(Version(torch.__version__).release < (2, 13), reason="needs torch 2.13's libraries"),
    pytest.mark.skipif(torch.backends.cuda.is_built(), reason='this torch has code for GPUs of its own'),
]


@pytest.fixture(scope='module')
def library(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('gpu') / 'device.so'
    sys.path.insert(0, str(HERE))
    try:
        from stand_in_gpu import build
    finally:
        sys.path.remove(str(HERE))
    build(path)
    return path


@pytest.fixture(scope='module')
def worlds(tmp_path_factory) -> dict[str, str]:
    """MiniWorld of each kind."""
    from mmxf.cli.make_miniworld import main

    roots = {name: str(tmp_path_factory.mktemp('data') / f'world{name}') for name in WORLDS}
    for name, arguments in WORLDS.items():
        main(['--root', roots[name], *arguments])
    return roots


def python(*arguments: object, text: str = '') -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], input=text, text=True, cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, 'PYTHONPATH': f'{ROOT}:{HERE}', 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_a_tensor_on_the_cpu_is_refused(library):
    said = python('-c', f"""
import stand_in_gpu
stand_in_gpu.install({str(library)!r})
import torch
here, there = torch.ones(2, 3), torch.ones(2, 3, device='cuda')
assert there.is_cuda and (there * 2 + torch.tensor(1.)).cpu().sum() == 18 and there[torch.tensor([0])].shape == (1, 3)
for wrong in (lambda: here + there, lambda: torch.cat([there, here]), lambda: there.numpy(), lambda: here[there.long()],
              lambda: there.index_select(0, torch.tensor([0])), lambda: torch.nn.Conv1d(2, 1, 1).cuda()(here[None]),
              lambda: torch.nn.functional.embedding(here.long(), there), lambda: torch.nn.BatchNorm1d(3).cuda()(here)):
    try:
        wrong()
    except (RuntimeError, TypeError) as error:
        print(type(error).__name__, error)
    else:
        raise AssertionError('was not refused')
""")
    assert len(said.splitlines()) == 8, said


def test_operators(library):
    said = python('-c', f"""
import json, stand_in_gpu
stand_in_gpu.install({str(library)!r})
from mmxf.cli._self_test import report
print('##' + json.dumps(report('cuda')))
""")
    rows = json.loads(said.partition('##')[2])
    assert len(rows) >= 8 and not [row for row in rows if 'failed' in row], rows


def test_hooks(library):
    """Terms of the loss that a model leaves on the CPU, batches that are dumped, steps taken back."""
    said = python('-c', f"""
import stand_in_gpu
stand_in_gpu.install({str(library)!r})
import pytest
raise SystemExit(pytest.main(['-o', 'addopts=-q', 'tests/engine/test_hooks.py', 'tests/engine/test_mixed_precision.py', '-k',
                              'any_term_counts or left_out or rollback']))
""")
    assert 'passed' in said and 'skipped' not in said, said


def test_a_step_and_an_evaluation_of_each_task(library, worlds):
    runs = {'kmax/kmax_r18_mini': '', 'kat/kat_detection_mini': '', 'kat/kat_segmentation_mini': '',
            'ktpformer/ktpformer_f27_mini': 'people', 'omnifusion/omnifusion_mini': 'depth'}
    commands = [['train', f'configs/{config}.py', '--dry-run', '--amp', '--cfg-options', f'data_root={worlds[world]}/']
                for config, world in runs.items()]
    said = python(HERE / 'run.py', library, text=''.join(json.dumps(command) + '\n' for command in commands))
    assert said.count('## 0') == said.count('one evaluated image and one checkpoint went well') == len(runs), said[-4000:]
    assert said.count('Mixed precision in bfloat16') == said.count('peak GPU memory') == len(runs)
