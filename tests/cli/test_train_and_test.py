"""The commands train, test, check-config and print-config on a toy."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DATA = ROOT / 'tests' / 'config' / 'data'


def write_config(folder: Path, text: str = '', name: str = 'toy_run.py') -> Path:
    """The toy config, which imports its parts by itself, with changes."""
    path = folder / name
    path.write_text(f"_base_ = [{str(DATA / 'toy.py')!r}]\ncustom_imports = dict(imports=['toy_parts'])\n{text}\n")
    return path


def tool(folder: Path, name: str, *args, processes: int = 0) -> str:
    """Runs tools/NAME.py in ``folder`` in a process of its own; returns all it said."""
    program = [sys.executable]
    if processes:
        program += ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}']
    done = subprocess.run(
        [*program, str(ROOT / 'tools' / f'{name}.py'), *map(str, args)],
        cwd=folder,
        text=True,
        capture_output=True,
        env={**os.environ, 'PYTHONPATH': f'{ROOT}:{DATA}', 'OMP_NUM_THREADS': '1'},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of four iterations: its folder and what the command said."""
    folder = tmp_path_factory.mktemp('trained')
    return folder, tool(folder, 'train', write_config(folder))


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Writes toy configs; the test runs in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(DATA))
    return lambda text='', name='toy_run.py': write_config(tmp_path, text, name)


@pytest.fixture
def fails(capsys):
    """Runs a command in this process, which must end with a plain error; checks its words."""

    def call(name: str, *args, words: tuple[str, ...]) -> None:
        import importlib

        capsys.readouterr()
        assert importlib.import_module(f'mmxf.cli.{name}').main([str(arg) for arg in args]) == 1
        said = capsys.readouterr().err
        error = said[said.index('error: ') :] if 'error: ' in said else said
        assert 'Traceback' not in error and len(error.strip().splitlines()) <= 4, error
        for word in words:
            assert word in error, error

    return call


def test_train_says_what_it_is_about_to_do(trained):
    folder, text = trained
    assert (folder / 'work_dirs' / 'toy_run' / 'iter_4.pth').is_file(), 'the default folder'
    assert "sync_bn='torch' dropped (a single process)" in text
    for words in (
        '4 training images, 4 validation images, 3 classes',
        'ToyWhole, 0.00 M parameters',
        '4 iterations of 2 images = 2.0 epochs',
        '2 images a step (2 a process x 1 process)',
        'Learning rate 0.1 -> 0.05, scaled linearly from a batch of 4 to 2; --no-auto-scale-lr leaves it',
        '0.05 (0.025 for some parameters), AdamW',
    ):
        assert words in text, words
    dumped = (folder / 'work_dirs' / 'toy_run' / 'toy_run.py').read_text()
    assert 'num_classes=3' in dumped, 'the copy that the run keeps is resolved'


def test_test_writes_metrics(trained):
    folder, _ = trained
    tool(
        folder,
        'test',
        folder / 'toy_run.py',
        'work_dirs/toy_run/iter_4.pth',
        '--out',
        'out/metrics.json',
        '--work-dir',
        'tested',
    )
    metrics = json.loads((folder / 'out' / 'metrics.json').read_text())
    # From 0 by four steps of AdamW at 0.025, half of it for the head, with a polynomial decay.
    assert 0.04 < metrics['toy/mean'] < 0.1, 'the trained weights were loaded'
    assert (folder / 'tested').is_dir()


def test_test_writes_predictions(trained, config, tmp_path):
    from mmxf.cli.test import main

    checkpoint = trained[0] / 'work_dirs' / 'toy_run' / 'iter_4.pth'
    assert main([str(config()), str(checkpoint), '--out', 'predictions.pkl']) == 0
    assert len(pickle.loads((tmp_path / 'predictions.pkl').read_bytes())) == 4


def test_resume_continues(trained, tmp_path):
    folder, _ = trained
    longer = write_config(tmp_path, 'train_cfg = dict(max_iters=6)')
    text = tool(tmp_path, 'train', longer, '--resume', '--work-dir', folder / 'work_dirs' / 'toy_run')
    assert 'from iteration 4' in text
    assert (folder / 'work_dirs' / 'toy_run' / 'iter_6.pth').is_file()


def test_two_processes_on_the_cpu(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip('this machine has GPUs')
    text = tool(tmp_path, 'train', write_config(tmp_path), '--launcher', 'pytorch', processes=2)
    assert text.count("sync_bn='torch' dropped (no GPU)") == 1, 'said once'
    assert '4 images a step (2 a process x 2 processes)' in text
    assert 'the batch of 4 (2 a process x 2 processes) is the one it was chosen for' in text
    assert (tmp_path / 'work_dirs' / 'toy_run' / 'iter_4.pth').is_file()


def test_flags_reach_the_config(config):
    from mmxf.cli._session import open_session
    from mmxf.cli.train import apply_arguments, parse_args

    args = parse_args(
        [
            str(config()),
            '--work-dir',
            'w',
            '--no-validate',
            '--seed',
            '3',
            '--deterministic',
            '--auto-scale-lr',
            '--resume',
            '--cfg-options',
            'train_cfg.max_iters=1',
            '--cfg-options',
            'image_size=(1,2)',
        ]
    )
    cfg = open_session(args)
    apply_arguments(cfg, args)
    assert cfg.work_dir == 'w' and cfg.train_cfg.max_iters == 1 and cfg.image_size == (1, 2)
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert cfg.randomness == {'seed': 3, 'deterministic': False}
    assert cfg.custom_hooks[-1].type == 'mmxf.DeterminismHook'
    assert cfg.auto_scale_lr.enable and cfg.resume and cfg.load_from is None


def test_amp_changes_the_wrapper(config, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    from mmxf.cli.train import use_amp
    from mmxf.config import load_config

    cfg = load_config(config())
    use_amp(cfg)
    assert cfg.optim_wrapper.type == 'mmxf.MixedPrecisionOptimWrapper' and 'dtype' not in cfg.optim_wrapper
    before = dict(cfg.optim_wrapper)
    use_amp(cfg)
    assert dict(cfg.optim_wrapper) == before
    cfg = load_config(config("optim_wrapper = dict(type='AmpOptimWrapper', dtype='float16')"))
    use_amp(cfg)
    assert cfg.optim_wrapper.dtype == 'float16', 'what a config says stays'


def test_show_dir_sets_the_hook(config):
    from mmxf.cli.test import draw_into
    from mmxf.config import load_config

    cfg = load_config(config("custom_hooks = [dict(type='PanopticVisualizationHook', num_samples=3)]"))
    draw_into(cfg, 'pictures')
    (hook,) = cfg.custom_hooks
    assert hook.type == 'mmxf.PanopticVisualizationHook' and hook.num_samples == -1
    assert hook.out_dir == os.path.abspath('pictures')
    cfg = load_config(config("default_hooks = dict(visualization=dict(type='mmdet.DetVisualizationHook'))"))
    draw_into(cfg, 'pictures')
    assert cfg.default_hooks.visualization.draw
    assert cfg.default_hooks.visualization.test_out_dir == os.path.abspath('pictures')
    assert 'custom_hooks' not in cfg and 'checkpoint' in cfg.default_hooks


def test_tta_wraps_the_model(config):
    from mmxf.cli.test import use_tta
    from mmxf.config import UserError, load_config

    tta = "tta_model = dict(type='mmseg.SegTTAModel')\n"
    cfg = load_config(config(tta + "tta_pipeline = [dict(type='ToyTransform', size=7)]"))
    use_tta(cfg, 'toy')
    assert cfg.model.type == 'mmseg.SegTTAModel' and cfg.model.module.type == 'ToyWhole'
    assert cfg.test_dataloader.dataset.pipeline[0].size == 7
    with pytest.raises(UserError, match='no tta_pipeline to feed it'):
        use_tta(load_config(config(tta)), 'toy')


def test_a_config_error_stops_before_anything_is_built(fails, config, tmp_path):
    path = config('\nmodel = dict(head=dict(num_querys=100))')
    fails('train', path, words=('toy_run.py:4: model.head.num_querys', "did you mean 'num_queries'"))
    fails('test', path, 'x.pth', words=("did you mean 'num_queries'",))
    assert not (tmp_path / 'work_dirs').exists()


def test_missing_files_are_named(fails, config, trained, monkeypatch):
    path = config("train_dataloader = dict(dataset=dict(ann_file='annotations/x.json'))")
    fails('train', path, words=('data/toy/annotations/x.json: no such file', 'train_dataloader.dataset.ann_file'))
    folder = trained[0] / 'work_dirs' / 'toy_run'
    fails('test', config(), folder / 'iter_5.pth', words=('no such checkpoint', 'iter_4.pth'))
    fails('train', config(), '--resume', 'nowhere/x.pth', words=('there is no folder nowhere',))
    fails('train', 'toy_rum.py', words=('no such config file; did you mean toy_run.py?',))
    from mmxf.cli.train import main

    monkeypatch.setenv('MMXF_TRACEBACK', '1')
    with pytest.raises(Exception, match='no such config file'):
        main(['toy_rum.py'])


def test_flags_that_the_config_cannot_serve(fails, config, tmp_path, monkeypatch):
    (tmp_path / 'x.pth').write_bytes(b'')
    fails('test', config(), 'x.pth', '--tta', words=('has no tta_model',))
    fails('test', config(), 'x.pth', '--out', 'x.txt', words=('must end in .json',))
    fails('train', config('auto_scale_lr = None'), '--auto-scale-lr', words=('base_batch_size',))
    for option in ('train_dataloader.batch_size=0', 'train_dataloader.batch_size=many', 'train_dataloader.num_workers=-1'):
        fails('train', config(), '--cfg-options', option, words=(option.partition('=')[0], 'a whole number, at least'))
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    fails('train', config(), '--launcher', 'pytorch', words=('torchrun',))
    import torch

    if not torch.cuda.is_available():
        fails('train', config(), '--amp', words=('--amp needs a GPU',))


def test_a_checkpoint_that_would_run_code_is_refused(fails, config, tmp_path):
    import torch

    torch.save({'state_dict': {}, 'x': Evil(str(tmp_path / 'owned'))}, tmp_path / 'evil.pth')
    fails('test', config(), 'evil.pth', words=('evil.pth', 'mkdir'))
    assert not (tmp_path / 'owned').exists()


class Evil:
    """A pickle of this makes a folder when it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_check_config(config, capsys, tmp_path):
    from mmxf.cli.check_config import main

    right, wrong = config(), config('model = dict(head=dict(num_querys=1))', 'wrong.py')
    assert main([str(right)]) == 0
    assert capsys.readouterr().out.strip() == f'ok  {right}'
    assert main([str(right), str(wrong)]) == 1
    said = capsys.readouterr()
    assert '1 of 2 configs are right' in said.out and 'wrong.py:3' in said.err
    assert main([str(tmp_path)]) == 1, 'a folder: all configs in it'
    assert '1 of 2 configs are right' in capsys.readouterr().out
    assert main([str(right), '--cfg-options', 'model.head.num_querys=1']) == 1
    assert 'command line: model.head.num_querys' in capsys.readouterr().err


def test_print_config(config, capsys):
    from mmxf.cli.print_config import main

    path = str(config())
    assert main([path, '--cfg-options', 'image_size=(2,4)']) == 0
    text = capsys.readouterr().out
    assert '${' not in text and 'num_classes=3' in text
    scope: dict = {}
    exec(text, scope)
    assert scope['train_dataloader']['dataset']['pipeline'][0]['size'] == (2, 4)
    assert main([path, '--diff', str(config('lr = 0.2\n', 'other.py'))]) == 0
    text = capsys.readouterr().out
    assert '-lr = 0.2' in text and '+lr = 0.1' in text
