import cv2
import numpy as np
import pytest
import torch
from toy import toy_scene, write_toy
from toy.toy_segmentor import set_all

from mmxf.apis import init_model
from mmxf.cli.demo import main
from mmxf.visualization import read_rgb


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    model = init_model(write_toy(folder))
    set_all(model, 1)
    torch.save(dict(state_dict=model.state_dict()), folder / 'toy.pth')
    return folder


def command(toy, source, out, *more):
    return main([
        str(source),
        str(toy / 'toy.py'),
        str(toy / 'toy.pth'),
        '--out-dir',
        str(out),
        '--device',
        'cpu',
        *more,
    ])


def test_one_image(toy, tmp_path, capsys):
    assert command(toy, toy / 'images' / 'first.jpg', tmp_path, '--alpha', '1', '--no-labels') == 0
    picture = read_rgb(tmp_path / 'first.png')
    assert np.abs(picture[200, 200].astype(int) - (30, 30, 200)).max() < 4  # box's colour
    assert str(tmp_path / 'first.png') in capsys.readouterr().out


def test_a_folder_with_corrupt_files_goes_on(toy, tmp_path, capsys):
    source = tmp_path / 'in'
    (source / 'deep').mkdir(parents=True)
    whole = (toy / 'images' / 'first.jpg').read_bytes()
    (source / 'a.jpg').write_bytes(whole)
    (source / 'bad.jpg').write_bytes(b'nothing')
    (source / 'cut.jpg').write_bytes(whole[:600])
    (source / 'deep' / 'b.jpg').write_bytes(whole)
    (source / 'notes.txt').write_text('no image')
    assert command(toy, source, tmp_path / 'out', '--batch-size', '2', '--side-by-side') == 0
    assert sorted(p.relative_to(tmp_path / 'out').as_posix() for p in (tmp_path / 'out').rglob('*.png')) == [
        'a.png',
        'deep/b.png',
    ]
    said = capsys.readouterr()
    assert '2 pictures' in said.out and '2 of 4 files could not be read' in said.out
    assert 'bad.jpg' in said.err and 'cut.jpg' in said.err and 'notes' not in said.out
    picture = read_rgb(tmp_path / 'out' / 'a.png')
    assert picture.shape[1] > 2 * picture.shape[0]


def test_results_never_overwrite_the_input(toy, tmp_path):
    image, _ = toy_scene()
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    before = (tmp_path / 'a.png').read_bytes()
    assert command(toy, tmp_path / 'a.png', tmp_path) == 0
    assert (tmp_path / 'a.png').read_bytes() == before and (tmp_path / 'a_panoptic.png').exists()


def test_a_video(toy, tmp_path, capsys):
    writer = cv2.VideoWriter(str(tmp_path / 'in.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for _ in range(3):
        writer.write(toy_scene()[0])
    writer.release()
    assert command(toy, tmp_path / 'in.avi', tmp_path / 'out') == 0
    capture = cv2.VideoCapture(str(tmp_path / 'out' / 'in.mp4'))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    assert len(frames) == 3 and frames[0][200, 300, 0] > 1.3 * frames[0][200, 300, 2]  # box is blue
    assert '3 frames in' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(source='gone.jpg'), 'gone.jpg does not exist'),
        (dict(source='.'), 'holds no images'),
        (dict(source='bad.mp4'), 'bad.mp4 is not a video'),
        (dict(config='toyy.py'), 'toyy.py'),
        (dict(checkpoint='none.pth'), 'none.pth does not exist'),
    ],
)
def test_wrong_paths_are_named(toy, tmp_path, capsys, change, message):
    (tmp_path / 'bad.mp4').write_bytes(b'no video')
    source = tmp_path / change['source'] if 'source' in change else toy / 'images'
    assert (
        main([
            str(source),
            str(toy / change.get('config', 'toy.py')),
            str(toy / change.get('checkpoint', 'toy.pth')),
            '--out-dir',
            str(tmp_path / 'out'),
        ])
        == 1
    )
    assert message in capsys.readouterr().err
