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


def run_of(folder, metric, memory):
    log = folder / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    rows = [dict(step=i, loss=3.0 / i, lr=0.1, base_lr=0.1, data_time=0.01, time=0.2, loss_mask=1.0, **memory)
            for i in range(1, 9)]
    log.write_text('\n'.join(map(json.dumps, [*rows, {'step': 8, **metric}])))
    return str(folder)


def test_several_runs_of_two_tasks_on_one_picture(tmp_path, capsys, monkeypatch):
    from mmxf.visualization import curves

    drawn = []
    style = curves.style_axes
    monkeypatch.setattr(curves, 'style_axes', lambda axes, key: (drawn.append((key, len(axes.lines))), style(axes, key)))
    runs = [run_of(tmp_path / 'segmentation', {'panoptic/PQ': 40.0, 'panoptic/SQ': 80.0}, dict(memory=900)),
            run_of(tmp_path / 'poses', {'pose/mpjpe': 55.0}, {})]
    assert main([*runs, '--out', str(tmp_path / 'all.png')]) == 0
    assert drawn == [('loss', 2), ('lr', 2), ('panoptic/PQ', 1), ('memory', 1), ('data_time', 2)]
    said = capsys.readouterr().out
    assert 'segmentation: 8 iterations' in said and 'poses: 8 iterations' in said and 'not in this log' in said
    import cv2

    picture = cv2.imread(str(tmp_path / 'all.png'))
    assert picture.shape[1] > picture.shape[0] > 900, 'two rows of panels'


def test_what_is_drawn_without_a_wish():
    from mmxf.cli.plot_log import usual_keys

    assert usual_keys({'loss', 'base_lr', 'pose/mpjpe', 'pose/pck', 'val/loss_x'}) == ['loss', 'base_lr', 'pose/mpjpe']
    assert usual_keys({'loss', 'val/loss', 'val/loss_x', 'PQ'}) == ['loss', 'val/loss']
    assert usual_keys({'x'}) == ['x']
