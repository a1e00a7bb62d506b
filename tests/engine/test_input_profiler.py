"""What is said of waiting for data, and what is advised."""
import logging

import cv2
import numpy as np
import pytest
from test_atomic_checkpoints import run
from torch.utils.data import DataLoader

from mmxf.cli._measure_data import table, time_steps
from mmxf.config import UserError
from mmxf.datasets.transforms.reduced_image import LoadReducedImage, jpeg_size
from mmxf.engine.hooks import input_profiler_hook
from mmxf.engine.hooks.input_profiler_hook import advice

HOOK = dict(type='InputProfilerHook', interval=4)


def lines(caplog):
    return [record for record in caplog.records if record.getMessage().startswith('Waiting for data')]


def test_share_of_waiting(toy, tmp_path, caplog):
    """0.05 s a sample without workers, against a step that sleeps 0.4 s or not at all."""
    caplog.set_level(logging.INFO)
    kwargs = dict(length=9, interval=100, val=3, hooks=[HOOK], data=dict(delay=0.05, plain=True), batch=2)
    built = run(toy, tmp_path / 'waits', caplog, **kwargs)
    (report,) = lines(caplog)    # of 9 iterations: the first and two after validations are not timed, four make a report
    assert report.levelno == logging.WARNING and 'more workers' in report.getMessage() and '--data' in report.getMessage()
    share = built.message_hub.get_scalar('train/data_share').current()
    assert 0.5 < share <= 1
    caplog.clear()
    built = run(toy, tmp_path / 'computes', caplog, **dict(kwargs, data=dict(plain=True)), model=dict(delay=0.4))
    (report,) = lines(caplog)
    assert built.message_hub.get_scalar('train/data_share').current() < 0.5


def test_advice(monkeypatch):
    monkeypatch.setattr(input_profiler_hook.os, 'sched_getaffinity', lambda pid: set(range(9)), raising=False)
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    few = DataLoader(range(8), num_workers=2)
    assert any('num_workers=4 instead of 2' in text for text in advice(few, 1.))
    assert any('num_workers=8 instead of 2' in text for text in advice(few, 50.)), 'no more than there are cores'
    assert any('persistent_workers=True' in text for text in advice(few, 1.))
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '8')
    assert any('fewer workers: 2 x 8 processes share 9 cores' in text for text in advice(few, 1.))
    with pytest.raises(ValueError, match='threshold=2 in'):
        input_profiler_hook.InputProfilerHook(threshold=2)


class Steps:
    """A data set of two transforms, the second of which gives up on odd samples."""

    def __init__(self):
        self.pipeline = type('Compose', (), {})()
        self.pipeline.transforms = [lambda sample: {**sample, 'a': 1}, lambda sample: None if sample['i'] % 2 else sample]

    def __len__(self):
        return 4

    def prepare_data(self, index):
        sample = {'i': index}
        for transform in self.pipeline.transforms:
            sample = transform(sample)
        return sample


def test_steps_of_a_pipeline():
    data = Steps()
    before = data.pipeline.transforms
    result = time_steps(type('Wrapper', (), {'dataset': data})(), 4)
    assert (result['samples'], result['dropped']) == (2, 2) and data.pipeline.transforms == before
    assert [label[:2] for label, _, _ in result['steps']] == ['da', '1.', '2.']
    assert sum(mean for _, _, mean in result['steps']) == pytest.approx(result['sample_ms'], rel=1e-6)
    assert result['images_per_second'] == pytest.approx(1e3 / result['sample_ms'])
    assert '2 samples were given up' in table(result)
    with pytest.raises(UserError, match='no pipeline'):
        time_steps(range(3), 2)


def test_reduced_images(tmp_path):
    image = np.zeros((101, 203, 3), np.uint8)
    image[:, 100:] = 200
    for name in ('a.jpg', 'a.png'):
        cv2.imwrite(str(tmp_path / name), image)
    assert jpeg_size(np.fromfile(tmp_path / 'a.jpg', np.uint8)) == (101, 203)
    assert jpeg_size(np.fromfile(tmp_path / 'a.png', np.uint8)) is None

    def shape(size, name='a.jpg'):
        return LoadReducedImage(size).transform(dict(img_path=str(tmp_path / name)))['img'].shape[:2]

    assert shape((26, 51)) == (26, 51) and shape((27, 51)) == (51, 102)
    assert shape((60, 60)) == (101, 203) == shape((1, 1), 'a.png')
    assert shape((1, 1)) == (13, 26)
    small = LoadReducedImage((26, 51)).transform(dict(img_path=str(tmp_path / 'a.jpg')))['img']
    assert small[13, 5].max() < 10 and small[13, 45].min() > 190
    (tmp_path / 'bad.jpg').write_bytes(b'\xff\xd8nothing')
    with pytest.raises(ValueError, match='bad.jpg'):
        shape((1, 1), 'bad.jpg')
