"""Official KAT checkpoints, ViT and DeiT through the command that converts them, into models of configs."""
import subprocess
import sys
from pathlib import Path

import kat_cases
import numpy as np
import pytest
import torch
from test_kat_parity import PARITY, official_keys, relative

import mmxf  # noqa: F401
from mmxf.apis import init_model
from mmxf.models.kat import KAT
from mmxf.models.kat.convert import convert

ROOT = Path(__file__).resolve().parents[2]


def command(*args) -> str:
    done = subprocess.run([sys.executable, 'tools/convert_checkpoint.py', 'kat', *map(str, args)], capture_output=True, text=True,
                          cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def timm_state(depth: int, channels: int, tokens: int, classes: int = 10) -> dict[str, torch.Tensor]:
    """A ViT's state dict as timm names it (vit_*_patch16_224, deit_*_patch16_224), made-up numbers."""
    shapes = {'cls_token': (1, 1, channels), 'pos_embed': (1, tokens, channels),
              'patch_embed.proj.weight': (channels, 3, 16, 16), 'patch_embed.proj.bias': (channels,)}
    for i in range(depth):
        for name, inside, outside in (('attn.qkv', channels, 3 * channels), ('attn.proj', channels, channels),
                                      ('mlp.fc1', channels, 4 * channels), ('mlp.fc2', 4 * channels, channels)):
            shapes |= {f'blocks.{i}.{name}.weight': (outside, inside), f'blocks.{i}.{name}.bias': (outside,)}
        for name in ('norm1', 'norm2'):
            shapes |= {f'blocks.{i}.{name}.weight': (channels,), f'blocks.{i}.{name}.bias': (channels,)}
    shapes |= {'norm.weight': (channels,), 'norm.bias': (channels,), 'head.weight': (classes, channels), 'head.bias': (classes,)}
    random = torch.Generator().manual_seed(0)
    return {key: 0.1 * torch.randn(shape, generator=random) for key, shape in shapes.items()}


def test_an_official_checkpoint_there_and_back(tmp_path):
    state = {key: torch.from_numpy(kat_cases.official_weight(key, tuple(shape))) for key, shape in official_keys('t').items()}
    torch.save(dict(model=state, epoch=299), tmp_path / 'kat_tiny.pth')
    assert '5.72 M' in command(tmp_path / 'kat_tiny.pth', tmp_path / 'ours.pth')
    model = init_model(ROOT / 'configs/kat/kat_t_imagenet.py', tmp_path / 'ours.pth')         # strict
    wanted = np.load(PARITY / 'logits_t_224.npz')['logits']
    with torch.no_grad():
        logits = model(torch.from_numpy(kat_cases.images(len(wanted), 224, 224)))
    assert relative(logits, wanted) < 1e-4
    command(tmp_path / 'ours.pth', tmp_path / 'back.pth', '--reverse')
    back = torch.load(tmp_path / 'back.pth', weights_only=True)['model']
    assert back.keys() == state.keys() and all(torch.equal(back[key], state[key]) for key in state)


def test_a_vit_is_where_a_config_s_backbone_starts(tmp_path):
    """The recipe from a ViT: converted file, `init_cfg` of the config."""
    state = timm_state(12, 192, 197, 1000)
    torch.save(state, tmp_path / 'vit.pth')
    command(tmp_path / 'vit.pth', tmp_path / 'kat_t_from_vit.pth')
    model = init_model(ROOT / 'configs/kat/kat_t_imagenet_vit.py', tmp_path / 'kat_t_from_vit.pth')       # strict, with the head
    assert torch.equal(model.head.fc.weight, state['head.weight'])
    backbone = KAT('tiny', ffn=dict(type='mmxf.GRKAN', act_init='gelu'),
                   init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'kat_t_from_vit.pth')))
    backbone.init_weights()
    assert all(torch.equal(value, model.backbone.state_dict()[key]) for key, value in backbone.state_dict().items())
    first, second = backbone.blocks[3].ffn.rational1, backbone.blocks[3].ffn.rational2
    x = torch.linspace(-3, 3, 100)[:, None].repeat(1, 8)
    assert torch.equal(first(x), x) and (second(x) - torch.nn.functional.gelu(x)).abs().max() < 0.01


def test_a_distilled_deit():
    """Tokens are (class, distillation, patches): the second goes, and so does its head."""
    plain = timm_state(2, 48, 197)
    random = torch.Generator().manual_seed(1)
    second = torch.randn(1, 1, 48, generator=random)
    distilled = dict(plain, dist_token=torch.randn(1, 1, 48, generator=random), pos_embed=torch.cat(
        [plain['pos_embed'][:, :1], second, plain['pos_embed'][:, 1:]], 1))
    distilled |= {'head_dist.weight': torch.ones(10, 48), 'head_dist.bias': torch.ones(10)}
    one, other = convert(dict(model=distilled)), convert(plain)
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize(('state', 'words'), [
    ({'blocks.0.ls1.gamma': torch.ones(4)}, 'blocks.0.ls1.gamma'),                        # layer scale, which KAT does not have
    ({'Transformer/encoderblock_0/LayerNorm_0/bias': torch.ones(4)}, 'as timm names them')])
def test_other_transformers_are_refused(state, words, tmp_path, capsys):
    from mmxf.cli.convert_checkpoint import main

    torch.save({**timm_state(1, 16, 5), **state}, tmp_path / 'other.pth')
    assert main(['kat', str(tmp_path / 'other.pth'), str(tmp_path / 'out.pth')]) == 1
    assert words in capsys.readouterr().out and not (tmp_path / 'out.pth').exists()
