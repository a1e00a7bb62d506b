"""The hook that draws while a Runner validates and tests."""

import numpy as np
import pytest
import torch
from toy import write_toy
from toy.toy_segmentor import set_all

from mmxf.apis import init_model, open_config
from mmxf.visualization import read_rgb


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp('toy')
    model = init_model(write_toy(folder))
    set_all(model, 2)
    torch.save(dict(state_dict=model.state_dict()), folder / 'toy.pth')
    return folder


def run_test(toy, **hook):
    from mmengine.runner import Runner

    cfg = open_config(toy / 'toy.py')
    for key in ('train_dataloader', 'train_cfg', 'optim_wrapper'):
        cfg.pop(key)
    cfg.work_dir = str(toy / 'work')
    cfg.load_from = str(toy / 'toy.pth')
    cfg.test_evaluator = dict(type='mmengine.DumpResults', out_file_path=str(toy / 'results.pkl'))
    cfg.custom_hooks = [dict(type='PanopticVisualizationHook', **hook)]
    cfg.experiment_name = f'toy{np.random.randint(1 << 30)}'
    Runner.from_cfg(cfg).test()


def test_all_pictures_of_a_test_are_written_with_ground_truth(toy):
    out = toy / 'shown'
    run_test(toy, out_dir=str(out), num_samples=-1)
    assert sorted(p.name for p in out.iterdir()) == ['first.png', 'second.png']
    sheet = read_rgb(out / 'first.png')
    assert sheet.shape[1] > 3 * sheet.shape[0]  # three landscape pictures side by side
    red = (sheet[..., 0] > 150) & (sheet[..., 1] < 90) & (sheet[..., 2] < 90)
    thirds = np.array_split(red.sum(0), 3)
    # The ball is red in the image and the ground truth; the prediction says floor.
    assert thirds[0].sum() > 2000 and thirds[1].sum() > 2000 and thirds[2].sum() < 300


def test_only_the_first_samples_are_drawn_inside_the_run_folder(toy):
    run_test(toy, out_dir='pictures', num_samples=1)
    assert [p.name for p in (toy / 'work' / 'pictures').iterdir()] == ['first.png']


def test_switched_off_it_draws_nothing(toy):
    run_test(toy, out_dir='nothing', draw=False)
    assert not (toy / 'work' / 'nothing').exists()


def test_an_image_that_is_gone_costs_its_picture_only(toy):
    from mmdet.structures import DetDataSample
    from mmengine.structures import PixelData

    from mmxf.engine.hooks import PanopticVisualizationHook

    class Runner:
        work_dir, said = str(toy), []
        iter = 0

        class logger:
            @staticmethod
            def warning(text):
                Runner.said.append(text)

        class val_dataloader:
            batch_size = 1

            class dataset:
                metainfo = dict(classes=('ball', 'box', 'floor'))

    sample = DetDataSample(metainfo=dict(img_path=str(toy / 'gone.jpg')))
    sample.pred_panoptic_seg = PixelData(sem_seg=torch.zeros(1, 48, 64, dtype=torch.int64))
    hook = PanopticVisualizationHook()
    hook.after_val_iter(Runner, 0, None, [sample])
    assert 'gone.jpg' in Runner.said[0] and not hook.written
