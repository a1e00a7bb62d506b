"""Weight files load; what would run code does not."""
import os
import pickle
import subprocess

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint as mmengine_checkpoint

from mmxf.engine.checkpoint_io import (
    DamagedCheckpointError,
    UnsafeCheckpointError,
    install_safe_loading,
    load_file,
)


class Hostile:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def write(path, content, kind):
    if kind == 'pickle':
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == 'zip')
    return path


@pytest.mark.parametrize('kind', ['zip', 'legacy', 'pickle'])
@pytest.mark.parametrize('function, name', [(os.system, 'system'), (eval, 'eval'), (subprocess.call, 'call'),
                                            (getattr, 'getattr')])
def test_nothing_runs(kind, function, name, tmp_path):
    victim = tmp_path / 'created'
    command = (HistoryBuffer, '__init__') if function is getattr else (f'touch {victim}',)
    if function is eval:
        command = (f'open({str(victim)!r}, "w")',)
    path = write(tmp_path / 'w.pth', {'model': {'w': torch.ones(2), 'x': Hostile(function, *command)}}, kind)
    with pytest.raises(UnsafeCheckpointError, match=f'(?s)w.pth.*{name}.*any code.*--trust-pickle.*allow_pickle=True'):
        load_file(path)
    assert not victim.exists()
    if function is os.system:
        load_file(path, allow_pickle=True)  # the explicit way round
        assert victim.exists()


@pytest.mark.parametrize('protocol', range(6))
def test_dictionaries_of_arrays(protocol, tmp_path):
    content = {'model': {'w': np.arange(6, dtype=np.float32).reshape(2, 3).T, 'n': np.int64(3), 'b': b'\xff',
                         't': torch.arange(3.)}, '__author__': 'someone', 'matching_heuristics': True}
    path = tmp_path / 'R-50.pkl'
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = load_file(path)
    assert np.array_equal(loaded['model'].pop('w'), content['model'].pop('w'))
    assert torch.equal(loaded['model'].pop('t'), content['model'].pop('t'))
    assert loaded == content


def test_python_2_pickle_of_an_array(tmp_path):
    """detectron's files: protocol 2 written by python 2, where the array's bytes are a str."""
    data = np.array([1.5, -2.], dtype='<f4').tobytes().decode('latin1')
    stream = (b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
              b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
              b"K\x00tb\x89U\x08" + data.encode('latin1') + b"tbs.")
    (tmp_path / 'a.pkl').write_bytes(stream)
    assert np.array_equal(load_file(tmp_path / 'a.pkl')['w'], np.array([1.5, -2.], np.float32))


@pytest.mark.parametrize('kind', ['zip', 'legacy'])
def test_what_a_runner_saves(kind, tmp_path):
    history = HistoryBuffer([1., 2.], [1, 1])
    content = {'h': history, 'f': np.float64(2.5), 'i': np.arange(3), 's': np.array(['a', 'bc']), 't': torch.ones(2),
               'palette': [(1, 2, 3)], 'empty': np.zeros(0)}
    loaded = load_file(write(tmp_path / 'a.pth', content, kind))
    assert loaded['h'].mean() == 1.5 and loaded['f'] == 2.5 and loaded['s'].tolist() == ['a', 'bc']
    assert torch.equal(loaded['t'], content['t']) and np.array_equal(loaded['i'], content['i'])


def test_broken_files_are_named(tmp_path):
    whole = write(tmp_path / 'w.pth', {'w': torch.ones(1000)}, 'zip').read_bytes()
    for name, data in {'cut': whole[:-100], 'text': b'<html>404', 'empty': b'', 'pickle': pickle.dumps([1] * 99)[:20]
                       }.items():
        (tmp_path / f'{name}.pth').write_bytes(data)
        with pytest.raises(DamagedCheckpointError, match=f'{name}.pth cannot be read'):
            load_file(tmp_path / f'{name}.pth')
    with pytest.raises(FileNotFoundError, match='none.pth'):
        load_file(tmp_path / 'none.pth')


def test_mmengine_loads_safely(tmp_path):
    """Also weights that init_cfg names; mmengine's own loader would unpickle anything as a last resort."""
    victim = tmp_path / 'created'
    bad = write(tmp_path / 'bad.pth', {'state_dict': {'x': Hostile(os.system, f'touch {victim}')}}, 'zip')
    for _ in range(2):
        install_safe_loading()
    for load in (lambda: mmengine_checkpoint._load_checkpoint(str(bad)),
                 lambda: mmengine_checkpoint._load_checkpoint_with_prefix('x', str(bad)),
                 lambda: mmengine_checkpoint._safe_torch_load(open(bad, 'rb'))):
        with pytest.raises(UnsafeCheckpointError):
            load()
    assert not victim.exists()
    good = write(tmp_path / 'good.pth', {'state_dict': {'a.weight': torch.ones(2)}}, 'zip')
    assert list(mmengine_checkpoint._load_checkpoint_with_prefix('a', str(good))) == ['weight']
    install_safe_loading(allow_pickle=True)
    mmengine_checkpoint._load_checkpoint(str(bad))
    install_safe_loading()
    assert victim.exists()


def test_a_random_state_beside_the_weights_is_read_as_numbers(tmp_path):
    from mmxf.engine.random_state_pickles import SavedRandomState

    generator = np.random.RandomState(1234)
    generator.shuffle(np.arange(9))
    content = dict(model_pos=dict(weight=torch.ones(3)), random_state=generator, lr=8e-5)
    torch.save(content, tmp_path / 'official.bin')
    found = load_file(tmp_path / 'official.bin')
    assert torch.equal(found['model_pos']['weight'], torch.ones(3)) and found['lr'] == 8e-5
    assert isinstance(found['random_state'], SavedRandomState)
    np.testing.assert_array_equal(found['random_state'].state['state']['key'], generator.get_state()[1])


def test_the_random_state_of_old_numpy_is_read(tmp_path):
    """numpy 1.16 and before wrote a function of another name, and the state as a tuple."""

    class Old:
        def __reduce__(self):
            return getattr(np.random, '__RandomState_ctor'), (), ('MT19937', np.arange(624, dtype=np.uint32), 3, 0, 0.0)

    torch.save(dict(weight=torch.ones(2), random_state=Old()), tmp_path / 'old.bin')
    assert load_file(tmp_path / 'old.bin')['random_state'].state[0] == 'MT19937'
