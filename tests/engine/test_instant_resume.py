"""Resuming late in a long run starts at once; checkpoints hold plain data; a disk that is really full loses nothing."""
import resource
import signal
import time

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.structures import BaseDataElement, InstanceData

from mmxf.engine import load_file
from mmxf.engine.plain_data import plain, restored


def test_resume_at_iteration_149_000(toy, tmp_path):
    """Of 150 000: nothing that lies behind is dealt out, loaded or stepped over."""
    kwargs = dict(work_dir=str(tmp_path), batch=8, data=dict(plain=True))
    toy.train(length=4, interval=2, **kwargs)
    checkpoint = load_file(tmp_path / 'iter_4.pth')
    checkpoint['meta']['iter'] = 149_000
    checkpoint['training_state']['stream']['samples'] = 149_000 * 8
    for path in tmp_path.glob('iter_*'):
        path.unlink()
    torch.save(checkpoint, tmp_path / 'iter_149000.pth')
    (tmp_path / 'last_checkpoint').unlink()

    loaded, moments, prepare = [], [], toy.ToyData.prepare_data
    toy.ToyData.prepare_data = lambda self, index: loaded.append(index) or moments.append(time.process_time()) \
        or prepare(self, index)
    begin = time.process_time()
    try:
        runner = toy.train(length=149_002, interval=150_000, resume=True, **kwargs)
    finally:
        toy.ToyData.prepare_data = prepare
    assert runner.iter == 149_002 and len(loaded) == 2 * 8
    assert moments[0] - begin < 20, 'CPU seconds, most of them to build the run'
    # 24 samples: 149 000 x 8 = 49 666 passes and 16 samples; the permutation is that of the pass.
    sampler = runner.train_dataloader.sampler
    assert loaded[:8] == sampler._permutation(49_666)[16:24] and loaded[8:] == sampler._permutation(49_667)[:8]


def test_checkpoints_hold_plain_data(toy, tmp_path):
    toy.train(work_dir=str(tmp_path), length=4, val=2, ema=True, hook=dict(save_best='error', rule='less'))
    for path in tmp_path.glob('*iter_*.pth'):
        content = torch.load(path, weights_only=True)    # by torch alone, which knows nothing of ours
        assert content['meta']['seed'] == 0
        assert path.name.startswith('best') or content['training_state']['stream']['seed'] is not None
    history = load_file(tmp_path / 'iter_4.pth')['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer) and len(history.data[0]) == 4, 'and mmengine gets its log buffers back'
    runner = toy.train(work_dir=str(tmp_path), length=6, resume=True)
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 6


def test_plain_and_back(tmp_path):
    class Odd:
        def __str__(self):
            return 'odd one'

    history = HistoryBuffer([1., 2.], [1, 3], max_length=7)
    content = dict(meta=dict(a=np.float32(1.5), m=np.eye(2, dtype=np.int16), s=np.array(['x', 'yz']), t=(1, 'b'), o=Odd(),
                             flag=np.bool_(True), dtype=torch.bfloat16, palette=[(1, 2)]),
                   message_hub=dict(h=history))
    left_out = []
    written = plain(content, left_out)
    assert left_out == ['meta.o (Odd)'] and written['meta']['o'] == 'odd one'
    torch.save(written, tmp_path / 'a.pth')
    torch.load(tmp_path / 'a.pth', weights_only=True)
    read = load_file(tmp_path / 'a.pth')
    assert read['message_hub']['h'].max_length == 7 and read['message_hub']['h'].mean() == history.mean()
    assert np.array_equal(read['meta']['m'], np.eye(2)) and read['meta']['m'].dtype == np.int16
    assert read['meta']['s'].tolist() == ['x', 'yz'] and read['meta']['t'] == (1, 'b') and read['meta']['flag'] is True
    assert restored(plain([1, {'x': 2}])) == [1, {'x': 2}]
    sample = BaseDataElement(metainfo=dict(img_path='a.jpg'), boxes=InstanceData(labels=torch.tensor([3])))
    assert plain(sample)['boxes']['labels'].tolist() == [3] and plain(sample)['metainfo'] == {'img_path': 'a.jpg'}


def test_files_that_cannot_grow(toy, tmp_path, caplog):
    """The system refuses to write further, as a full disk or a quota does: the run says so and keeps what it has."""
    from test_atomic_checkpoints import run
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    train_iter = toy.ToyModel.train_step
    steps = []

    def shrinking(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 3:  # after the first checkpoint
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        if len(steps) == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return train_iter(self, *args, **kwargs)

    toy.ToyModel.train_step = shrinking
    try:
        run(toy, tmp_path, caplog, length=6)
    finally:
        toy.ToyModel.train_step = train_iter
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    said = '\n'.join(record.getMessage() for record in caplog.records)
    assert 'iter_4.pth was not saved' in said and 'File too large' in said and 'The last good one is' in said
    assert {path.name for path in tmp_path.glob('*.pth')} == {'iter_2.pth', 'iter_6.pth', 'final.pth'}
    assert not list(tmp_path.glob('.*tmp'))
