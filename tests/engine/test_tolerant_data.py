"""Unreadable samples are named, counted, replaced by the same ones again, and too many stop the run."""
import json

import numpy as np
import pytest
from mmengine.dataset import BaseDataset

from mmxf.datasets.tolerant import TolerantDataset, UnreadableSampleError, ends_early, read_report
from mmxf.engine.random_state import SeededIndex


class Data(BaseDataset):
    def __init__(self, bad=(), **kwargs):
        self.bad = set(bad)
        super().__init__(**kwargs)

    def load_data_list(self):
        return [{'img_path': f'{i}.jpg'} for i in range(40)]

    def prepare_data(self, index):
        if index in self.bad:
            raise OSError('cannot identify image file')
        return type(index), index, float(np.random.rand())


def test_bad_samples_are_replaced_and_named(tmp_path, capfd):
    report = tmp_path / 'bad.jsonl'
    data = TolerantDataset(Data(bad=(3, 4)), report_file=report)
    assert data[5][1] == 5 and data.metainfo == {} and len(data) == 40
    kind, index, value = data[SeededIndex(3, 11)]
    assert kind is int and index not in (3, 4)
    assert data[SeededIndex(3, 11)] == (int, index, value)  # the same again, draws included
    assert data[SeededIndex(3, 12)] != (int, index, value)
    assert data[4][1] not in (3, 4)  # without a seed too
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    assert {e['file'] for e in entries} == {'3.jpg', '4.jpg'} and 'cannot identify' in entries[0]['error']
    assert len(entries) == 2  # counted once each
    out = capfd.readouterr().out
    assert 'bad training sample 2 (limit 10)' in out and '3.jpg' in out


def test_too_many_stop_with_the_list(tmp_path):
    data = TolerantDataset(Data(bad=(1, 2, 3)), max_bad_samples=2, report_file=tmp_path / 'bad.jsonl')
    data[1], data[2]
    with pytest.raises(UnreadableSampleError, match=r'(?s)3 training samples.*max_bad_samples=2.*1.jpg.*2.jpg.*3.jpg'):
        data[3]
    # Another worker or a resumed run, by the same report.
    later = TolerantDataset(Data(bad=(1, 2, 3, 9)), max_bad_samples=2, report_file=tmp_path / 'bad.jsonl')
    with pytest.raises(UnreadableSampleError, match='4 training samples'):
        later[9]


def test_limits():
    assert TolerantDataset(Data()).max_bad_samples == 10
    assert TolerantDataset(Data(), max_bad_samples=0.1).max_bad_samples == 4
    with pytest.raises(UnreadableSampleError, match='1 training samples'):
        TolerantDataset(Data(bad=(1,)), max_bad_samples=0)[1]


def test_a_broken_pipeline_is_not_a_bad_image():
    with pytest.raises(UnreadableSampleError, match='(?s)8 samples in a row.*data_prefix.*cannot identify'):
        TolerantDataset(Data(bad=range(40)), max_bad_samples=30)[0]


def test_never_tolerant_in_a_test():
    with pytest.raises(UnreadableSampleError, match='7.jpg: cannot identify'):
        TolerantDataset(Data(bad=(7,), test_mode=True))[7]


@pytest.mark.parametrize('ending', ['.jpg', '.png'])
def test_cut_off_images_are_seen(ending, tmp_path):
    """OpenCV opens them without an error and shows the missing part grey."""
    import cv2
    path = tmp_path / f'a{ending}'
    cv2.imwrite(str(path), np.random.RandomState(0).randint(0, 255, (64, 64, 3), np.uint8))
    data = path.read_bytes()
    assert not ends_early(path)
    path.write_bytes(data + b'appended by a camera')
    assert not ends_early(path)
    path.write_bytes(data[:len(data) // 2])
    assert ends_early(path)

    class Images(Data):
        def load_data_list(self):
            return [{'img_path': str(path)}, {'img_path': str(tmp_path / 'other.jpg')}]

    wrapped = TolerantDataset(Images())
    assert wrapped[0][1] == 1
    assert 'cut off' in read_report(wrapped.report_file)[0]['error']


def test_mixing_data_sets(tmp_path):
    """The draws that choose the second image are seeded with the sample."""
    mmdet = pytest.importorskip('mmdet.datasets.dataset_wrappers')
    from mmengine.registry import TRANSFORMS

    @TRANSFORMS.register_module(force=True)
    class ToyMix:
        def get_indexes(self, dataset):
            return np.random.randint(len(dataset))

        def __call__(self, results):
            return {**results, 'mixed': results['mix_results'][0]['value'], 'draw': np.random.rand()}

    class Dicts(Data):
        def prepare_data(self, index):
            return {'value': super().prepare_data(index)[1]}

    mixed = mmdet.MultiImageMixDataset(Dicts(bad=(3,)), [{'type': 'ToyMix'}])
    data = TolerantDataset(mixed, report_file=tmp_path / 'bad.jsonl')
    assert data[SeededIndex(5, 1)] == data[SeededIndex(5, 1)] != data[SeededIndex(5, 2)]
    data[SeededIndex(3, 1)]
    assert read_report(data.report_file)[3]['file'] == '3.jpg'
    info = mixed.dataset.get_data_info(3)
    assert type(info['sample_idx']) is int


def test_in_a_run_over_workers(toy, tmp_path, capfd):
    toy.train(work_dir=str(tmp_path), length=12, workers=2, data={'bad': (3, 11), 'plain': True})
    assert set(read_report(tmp_path / 'bad_samples.jsonl')) == {3, 11}
    with pytest.raises(RuntimeError, match='(?s)max_bad_samples=1.*image_'):
        toy.train(work_dir=str(tmp_path), length=12, workers=2, max_bad_samples=1,
                  data={'bad': (3, 11), 'plain': True})
