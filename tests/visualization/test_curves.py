import json

import pytest

from mmxf.visualization.curves import plot_curves, read_scalars, series, smooth
from mmxf.visualization.files import read_rgb


def write_log(path, rows, tail=''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(json.dumps(row) for row in rows) + '\n' + tail)
    return path


def test_rows_are_read_and_a_torn_last_line_is_left_out(tmp_path):
    log = write_log(
        tmp_path / 'scalars.json',
        [dict(loss=2.0, iter=10, step=10), {'panoptic/PQ': 3.5, 'step': 10}],
        tail='{"loss": 1.',
    )
    rows = read_scalars(log)
    assert series(rows, 'loss') == ([10], [2.0]) and series(rows, 'PQ') == ([10], [3.5])


def test_a_resumed_run_continues_where_it_was_resumed(tmp_path):
    write_log(
        tmp_path / '20250101_000000/vis_data/scalars.json',
        [dict(loss=float(i), step=i) for i in (10, 20, 30)],
    )
    write_log(
        tmp_path / '20250102_000000/vis_data/scalars.json',
        [dict(loss=-float(i), step=i) for i in (20, 30, 40)],
    )
    assert series(read_scalars(tmp_path), 'loss') == ([10, 20, 30, 40], [10, -20, -30, -40])


def test_messages_name_files_and_keys(tmp_path):
    with pytest.raises(FileNotFoundError, match='nothing.json'):
        read_scalars(tmp_path / 'nothing.json')
    with pytest.raises(FileNotFoundError, match='folder of a run'):
        read_scalars(tmp_path)
    with pytest.raises(ValueError, match='empty.json'):
        read_scalars(write_log(tmp_path / 'empty.json', []))
    rows = read_scalars(write_log(tmp_path / 'a.json', [dict(loss=1.0, lr=0.1, step=1)]))
    with pytest.raises(KeyError, match='it has: loss, lr'):
        series(rows, 'losss')


def test_smoothing_is_corrected_for_its_start():
    assert smooth([2.0, 2.0, 2.0], 0.9) == pytest.approx([2, 2, 2])


def test_curves_are_drawn(tmp_path):
    rows = [dict(loss=3 / (i + 1), step=i) for i in range(60)] + [
        {'panoptic/PQ': 10.0 * i, 'step': 20 * i} for i in range(4)
    ]
    picture = read_rgb(plot_curves({'a': rows}, ['loss', 'panoptic/PQ'], tmp_path / 'sub' / 'curve.png'))
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    blue = (47, 109, 181)
    assert all((abs(half.astype(int) - blue).max(-1) < 12).sum() > 200 for half in (left, right))
    with pytest.raises(KeyError, match='no .mIoU.'):
        plot_curves({'a': rows}, ['mIoU'], tmp_path / 'no.png')
