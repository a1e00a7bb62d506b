import numpy as np
import pytest
from toy import write_toy

from mmxf.cli.browse_dataset import main
from mmxf.visualization import read_rgb


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_toy(tmp_path_factory.mktemp('toy'))


def test_training_samples_are_drawn_with_their_targets(config, tmp_path, capsys):
    assert main([str(config), '--not-show', '--out-dir', str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ['train_00000.png', 'train_00001.png']
    sheet = read_rgb(tmp_path / 'train_00000.png')
    left, right = np.array_split(sheet, 2, axis=1)
    # In the picture the floor is grey; under its target it is green.
    assert (left[100:450, 20:-20, 1].astype(int) - left[100:450, 20:-20, 0]).mean() < 10
    assert np.median(right[100:450, 20:-20, 1].astype(int) - right[100:450, 20:-20, 0]) > 20
    assert '2 of 2 samples' in capsys.readouterr().out


def test_what_is_drawn_is_what_the_augmentation_made(config, tmp_path):
    for i, prob in enumerate((0.0, 1.0)):
        text = config.read_text().replace(
            "dict(type='LoadPanopticSegments'),",
            f"dict(type='LoadPanopticSegments'), dict(type='mmdet.RandomFlip', prob={prob}),",
        )
        (config.parent / f'flip{i}.py').write_text(text)
        assert (
            main([
                str(config.parent / f'flip{i}.py'),
                '--not-show',
                '--number',
                '1',
                '--out-dir',
                str(tmp_path / str(i)),
            ])
            == 0
        )
    plain, flipped = (read_rgb(tmp_path / str(i) / 'train_00000.png')[100:450, 20:570] for i in (0, 1))
    red = [(p[..., 0] > 150) & (p[..., 1] < 90) for p in (plain, flipped)]
    columns = [np.nonzero(r.any(0))[0].mean() for r in red]
    assert columns[0] < 200 < 330 < columns[1]


def test_splits_and_failures_are_named(config, tmp_path, capsys):
    assert (
        main([str(config), '--split', 'test', '--number', '1', '--not-show', '--out-dir', str(tmp_path)]) == 0
    )
    assert (tmp_path / 'test_00000.png').exists()
    assert main([str(config), '--split', 'val', '--not-show']) == 1
    assert 'no val_dataloader' in capsys.readouterr().err
    assert (
        main([str(config), '--not-show', '--cfg-options', 'train_dataloader.dataset.ann_file=gone.json']) == 1
    )
    assert 'gone.json' in capsys.readouterr().err
