"""``mmxf quickstart``, short, and in a folder that is no clone of the repository."""
import json

from mmxf.cli import quickstart


def test_from_nothing_to_a_summary_and_again(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    arguments = ['--train', '8', '--val', '4', '--cfg-options', 'train_cfg.max_iters=2', 'train_cfg.val_interval=2',
                 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    assert quickstart.main(arguments) == 0
    summary = json.loads((tmp_path / 'work_dirs/quickstart/summary.json').read_text())
    assert summary.keys() >= {'PQ', 'PQ_things', 'PQ_stuff', 'seconds_install', 'seconds_train', 'images', 'curve'}
    assert len(summary['images']) == 4 and all((tmp_path / path).is_file() for path in [*summary['images'], summary['curve']])
    told = capfd.readouterr().out
    assert 'PQ on held-out images' in told and summary['images'][0] in told
    assert quickstart.main(arguments) == 0 and 'Done before' in capfd.readouterr().out
