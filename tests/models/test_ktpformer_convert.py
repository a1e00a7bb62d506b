"""An official checkpoint as the official run writes it, through the commands."""
import numpy as np
import torch
from ktpformer_cases import ROOT, official_state

from mmxf.apis import init_model
from mmxf.cli.convert_checkpoint import main as convert
from mmxf.engine.checkpoint_io import load_file

CONFIG = ROOT / 'configs/ktpformer/ktpformer_f27_h36m_cpn.py'


def official_file(path):
    """What the official training saves: weights of a DataParallel model, optimiser, epoch, rate, numpy's generator."""
    state = official_state('f27')
    some = [torch.nn.Parameter(value.clone()) for value in list(state.values())[:3]]
    optimizer = torch.optim.AdamW(some, lr=8e-5, weight_decay=0.1)
    sum(p.sum() for p in some).backward()
    optimizer.step()
    torch.save(dict(epoch=83, lr=8e-5 * 0.99 ** 83, random_state=np.random.RandomState(1234), optimizer=optimizer.state_dict(),
                    model_pos={f'module.{key}': value for key, value in state.items()}), path)
    return state


def test_an_official_file_loads_strictly_without_running_anything_of_it(tmp_path, capsys):
    state = official_file(tmp_path / 'model_27_CPN_best_epoch.bin')
    ours, back = tmp_path / 'ours.pth', tmp_path / 'back.pth'
    assert convert(['ktpformer', str(tmp_path / 'model_27_CPN_best_epoch.bin'), str(ours)]) == 0, capsys.readouterr().out
    assert f'{len(state)} tensors' in capsys.readouterr().out
    model = init_model(str(CONFIG), str(ours))
    assert torch.equal(model.backbone.head[1].weight, state['head.1.weight'])
    assert convert(['ktpformer', str(ours), str(back), '--reverse']) == 0
    returned = load_file(back)['model']
    assert set(returned) == set(state) and all(torch.equal(returned[key], state[key]) for key in state)


def test_a_checkpoint_for_another_length_is_named(tmp_path):
    import pytest

    from mmxf.config import UserError

    official_file(tmp_path / 'official.bin')
    convert(['ktpformer', str(tmp_path / 'official.bin'), str(tmp_path / 'ours.pth')])
    with pytest.raises(UserError, match=r'(?s)ours\.pth does not fit.*temporal_position.*27.*81'):
        init_model(str(ROOT / 'configs/ktpformer/ktpformer_f81_h36m_cpn.py'), str(tmp_path / 'ours.pth'))
