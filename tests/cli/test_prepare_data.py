"""The prepare_data command: exit status and what it prints."""

import pytest

from mmxf.cli._progress import show_progress
from mmxf.cli.prepare_data import main


@pytest.mark.parametrize(
    'dataset, word',
    [
        ('coco-panoptic', 'panoptic_annotations_trainval2017.zip'),
        ('cityscapes', 'leftImg8bit_trainvaltest.zip'),
        ('ade20k', 'ADEChallengeData2016.zip'),
    ],
)
def test_empty_root(dataset, word, tmp_path, capsys):
    assert main([dataset, '--root', str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out.count('MISSING') == 2 and word in out and 'http' in out
    assert 'is not ready: 2 missing' in err


def test_unknown_data_set(capsys):
    with pytest.raises(SystemExit):
        main(['imagenet'])
    assert 'coco-panoptic' in capsys.readouterr().err


def test_progress_shows_time_left(capsys, monkeypatch):
    clock = iter([0.0, 20.0, 40.0, 60.0])
    monkeypatch.setattr('time.monotonic', lambda: next(clock))
    show = show_progress('images')
    for done in (1, 2, 3):
        show(done, 3)
    lines = capsys.readouterr().err.splitlines()
    assert [line.rstrip() for line in lines] == [
        'images: 1/3  0:40 left',
        'images: 2/3  0:20 left',
        'images: 3/3  1:00',
    ]
