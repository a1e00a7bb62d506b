"""Streams of images: in order, in batches, read ahead while the model works."""
import threading

import cv2
import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.apis.streaming import Speed, Writers, predict_stream


class Sample(dict):
    def set_metainfo(self, meta):
        self.update(meta)


class Model(torch.nn.Module):
    """Says the mean of each image; remembers its batches."""

    def __init__(self, wait=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.data_preprocessor, self.batches, self.wait = None, [], wait
        self._test_pipeline = self.pipeline
        self.loaded = []

    def pipeline(self, results):
        self.loaded.append(results['img_id'])
        if self.wait is not None and results['img_id'] >= self.wait[0]:
            self.wait[1].set()
        return dict(inputs=torch.from_numpy(results['img']), data_samples=Sample())

    def test_step(self, data):
        assert not self.training and not torch.is_grad_enabled()
        if self.wait is not None and not self.batches:
            assert self.wait[1].wait(30), 'nothing was read while the model worked'
        self.batches.append(len(data['inputs']))
        return [float(x.float().mean()) for x in data['inputs']]


def images(count):
    return [(f'image {i}', np.full((4, 5, 3), i, np.uint8)) for i in range(count)]


def test_order_and_batches():
    model, speed = Model().train(), Speed()
    found = list(predict_stream(model, images(7), batch_size=3, workers=3, speed=speed))
    assert [f.key for f in found] == [f'image {i}' for i in range(7)]
    assert [f.sample for f in found] == list(range(7)) and model.batches == [3, 3, 1]
    assert speed.images == 7 and speed.seconds >= speed.model > 0 and 'images/s' in speed.text()
    assert model.training, 'as it was before'


def test_images_are_read_while_the_model_works():
    event = threading.Event()
    list(predict_stream(Model(wait=(5, event)), images(8), batch_size=2, workers=1, ahead=2))


def test_no_more_is_read_ahead_than_asked_for():
    model = Model()
    stream = predict_stream(model, images(50), batch_size=2, ahead=2)
    next(stream)
    assert len(model.loaded) <= 6
    stream.close()


def test_unreadable_files_come_with_their_reason(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / 'b.png').write_bytes(b'nothing')
    found = list(predict_stream(Model(), [(p, p) for p in sorted(tmp_path.iterdir())], batch_size=2))
    assert found[0].error is None and found[0].sample == 0 and 'b.png' in str(found[1].error) and found[1].sample is None


def test_images_of_several_sizes_go_one_by_one_where_they_cannot_be_stacked():
    class ClassificationPreprocessor:
        pass

    model = Model()
    model.data_preprocessor = ClassificationPreprocessor()
    mixed = [(0, np.zeros((4, 5, 3), np.uint8)), (1, np.zeros((6, 5, 3), np.uint8)), (2, np.zeros((6, 5, 3), np.uint8))]
    assert len(list(predict_stream(model, mixed, batch_size=3))) == 3 and model.batches == [1, 1, 1]


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match='at least 1'):
        next(predict_stream(Model(), images(1), batch_size=0))


def test_writers_keep_the_order_and_pass_errors_on():
    with Writers(workers=3, waiting=2) as writers:
        got = [value for i in range(9) for value in writers.put(lambda i: i * i, i)]
        got += list(writers.rest())
    assert got == [i * i for i in range(9)]
    with Writers() as writers, pytest.raises(ZeroDivisionError):
        list(writers.put(lambda: 1 / 0))
        list(writers.rest())
