import json

from mmxf.cli.plot_log import main, run_name


def test_last_values_are_printed_and_the_picture_written(tmp_path, capsys):
    log = tmp_path / 'run' / '20250101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text(
        '\n'.join(
            json.dumps(row)
            for row in (dict(loss=3.0, step=1), dict(loss=1.5, step=2), {'panoptic/PQ': 41.25, 'step': 2})
        )
    )
    assert main([str(tmp_path / 'run'), '--out', str(tmp_path / 'curve.png')]) == 0
    said = capsys.readouterr().out
    assert (
        'loss' in said and '1.5 at 2' in said and '41.25 at 2' in said and (tmp_path / 'curve.png').exists()
    )
    assert main([str(log), str(tmp_path / 'run'), '--keys', 'PQ', '--out', str(tmp_path / 'two.svg')]) == 0
    assert (tmp_path / 'two.svg').read_text().startswith('<?xml')


def test_wrong_files_and_keys_are_named(tmp_path, capsys):
    assert main([str(tmp_path / 'gone.json')]) == 1
    assert 'gone.json' in capsys.readouterr().err
    (tmp_path / 'a.json').write_text(json.dumps(dict(loss=1, step=1)))
    assert main([str(tmp_path / 'a.json'), '--keys', 'PQ', '--out', str(tmp_path / 'no.png')]) == 1
    assert 'it has: loss' in capsys.readouterr().err and not (tmp_path / 'no.png').exists()
    (tmp_path / 'b.json').write_text('[1, 2]\n')
    assert main([str(tmp_path / 'b.json')]) == 1
    assert 'b.json:1' in capsys.readouterr().err


def test_runs_are_named_by_their_folder():
    assert run_name('/x/work_dirs/kmax_mini/20250101_000000/vis_data/scalars.json') == 'kmax_mini'
    assert run_name('/x/work_dirs/kmax_mini') == 'kmax_mini'
