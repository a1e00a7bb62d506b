"""KAT's parts: first coefficients, the layer, the backbone in all its forms, weights from a ViT."""
import numpy as np
import pytest
import torch
from torch import nn

import mmxf  # noqa: F401
from mmxf.models.kat import GRKAN, KAT, FFNVisionTransformer, Rational, SimpleFeaturePyramid
from mmxf.models.kat.attention import merge_windows, windows
from mmxf.models.kat.convert import convert
from mmxf.models.kat.fit import ACTIVATIONS, evaluate, fit, gain

# Published first coefficients (Adamdad/rational_kat_cu, init.json): numerator, denominator, and which denominator they are for.
PUBLISHED = {
    'relu': ([0.029963801610813613, 0.6168978366891341, 2.37534759733888, 3.0659900472408443, 1.5246831881677423,
              0.2528070864040542], [-1.191550121923625, 4.4080487697236626, 0.9110357113686055, 0.34884977946384615], 'terms'),
    'leaky_relu': ([0.029792778657264946, 0.6183735264987601, 2.323309062531321, 3.051936237265109, 1.4854203263828845,
                    0.2510244961111299], [-1.1419548357285474, 4.393159974992486, 0.8714712309957245, 0.34719662339598834],
                   'terms'),
    'tanh': ([-1.0804622559204184e-08, 1.0003008043819048, -2.5878199375289335e-08, 0.09632129918392647,
              3.4775841628196104e-09, 0.0004255709234726337],
             [-0.0013027181209176277, 0.428349017422072, 1.4524304083061898e-09, 0.010796648111337176], 'terms'),
    'sigmoid': ([0.4999992534599381, 0.25002157564685185, 0.14061924500301096, 0.049420492431596394, 0.00876714851885483,
                 0.0006442412789159799],
                [2.1694506382753683e-09, 0.28122766100417684, 1.0123620714203357e-05, 0.017531988049946], 'terms'),
    'swish': ([3.054879741161051e-07, 0.5000007853744493, 0.24999783422824703, 0.05326628273219478, 0.005803034571292244,
               0.0002751961022402342],
              [-4.111554955950634e-06, 0.10652899335007572, -1.2690007399796238e-06, 0.0005502331264140556], 'terms'),
    'gelu': ([-0.00153969, 0.51692871, 0.44075827, 0.0972553, -0.00884418, -0.00378675],
             [-0.14171056, -0.06481231, -0.0444695, 0.01283776], 'sum'),
    'geglu': ([0.00079642, -0.00602563, 0.49750578, 0.47691076, 0.15421425, 0.0168486],
              [-0.12619161, -0.20067464, -0.03005465, 0.0027335], 'sum'),
    'swishglu': ([-0.00111528, -0.00334562, 0.53107663, 0.27851476, 0.06044361, 0.00483468],
                 [0.14408492, 0.02008671, 0.02944107, -0.00329516], 'sum'),
}
SMALL = dict(channels=48, depth=3, num_heads=4)


@pytest.mark.parametrize('name', PUBLISHED)
def test_fits_are_the_published_functions(name):
    numerator, denominator, absolute = PUBLISHED[name]
    x = np.linspace(-3, 3, 1000)
    published = evaluate(x, np.array(numerator), np.array(denominator), absolute)
    ours = evaluate(x, *map(np.array, fit(name, absolute=absolute)), absolute)
    assert np.abs(ours - published).max() < 2e-4
    target = ACTIVATIONS[name](x)
    assert np.mean((ours - target) ** 2) <= np.mean((published - target) ** 2) * 1.001
    if name == 'swish':         # the valley is narrow here: the coefficients themselves are found again
        np.testing.assert_allclose(fit(name)[0], numerator, atol=2e-5)
        np.testing.assert_allclose(fit(name)[1], np.abs(denominator), atol=2e-5)


@pytest.mark.parametrize('name', ACTIVATIONS)
def test_the_start_of_the_layer_is_its_activation(name):
    x = torch.linspace(-3, 3, 200)[:, None].repeat(1, 8)
    y = Rational(num_groups=8, init=name)(x).detach().numpy()[:, 0]
    assert np.sqrt(np.mean((y - ACTIVATIONS[name](x[:, 0].double().numpy())) ** 2)) < 8e-3


def test_gains():
    # Official code: square roots of 2.3567850379928976 and 2.8178205270359653, drawn from a million numbers each.
    assert gain('gelu') == pytest.approx(2.3567850379928976, rel=5e-3)
    assert gain('swish') == pytest.approx(2.8178205270359653, rel=5e-3)
    assert gain('relu') == pytest.approx(2, rel=1e-6) and gain('identity') == pytest.approx(1, rel=1e-6)


def test_unknown_activation():
    with pytest.raises(ValueError, match='known are identity, relu'):
        Rational(init='gellu')


def test_variance_is_kept():
    torch.manual_seed(0)
    layer = GRKAN(256, 1024, act_init='swish', add_identity=False)
    layer.keep_variance()
    out = layer(torch.randn(512, 256))
    assert 0.8 < float(out.detach().var()) < 1.25


def test_layer_by_hand():
    layer = GRKAN(16, 32, act_init='swish')
    x = torch.randn(3, 5, 16)
    wanted = x + layer.fc2(nn.functional.silu(layer.fc1(x)))
    torch.testing.assert_close(layer(x), wanted, atol=1e-5, rtol=1e-4)      # the first rational is the identity
    assert sum(p.numel() for name, p in layer.named_parameters() if 'rational' in name) == 2 * (6 + 8 * 4)
    torch.testing.assert_close(layer(x, identity=torch.zeros_like(x)), wanted - x, atol=1e-5, rtol=1e-4)


def test_mmcv_transformers_name_the_layer():
    from mmcv.cnn.bricks.transformer import BaseTransformerLayer

    layer = BaseTransformerLayer(
        attn_cfgs=dict(type='MultiheadAttention', embed_dims=16, num_heads=4),
        ffn_cfgs=dict(type='mmxf.GRKAN', feedforward_channels=32, act_cfg=dict(type='GELU')),
        operation_order=('self_attn', 'norm', 'ffn', 'norm'))
    assert isinstance(layer.ffns[0], GRKAN) and layer.ffns[0].rational2.start == 'gelu'
    assert layer(torch.randn(7, 2, 16)).shape == (7, 2, 16)


def test_activation_of_mmcv():
    from mmcv.cnn import build_activation_layer

    x = torch.randn(2, 16, 4, 4)
    layer = build_activation_layer(dict(type='mmxf.Rational', init='relu', channel_dim=1))
    assert (layer(x) - x.relu()).abs().max() < 0.1


def test_mmseg_vit_with_the_layer():
    vit = FFNVisionTransformer(img_size=32, patch_size=8, embed_dims=32, num_layers=2, num_heads=4, drop_path_rate=0.2,
                               out_indices=(0, 1), ffn=dict(type='mmxf.GRKAN', act_init='gelu'))
    assert all(isinstance(layer.ffn, GRKAN) for layer in vit.layers)
    assert vit.layers[1].ffn.dropout_layer.drop_prob == pytest.approx(0.2)
    assert [tuple(m.shape) for m in vit(torch.randn(1, 3, 32, 40))] == [(1, 32, 4, 5)] * 2
    plain = FFNVisionTransformer(img_size=32, patch_size=8, embed_dims=32, num_layers=1, num_heads=4)
    assert type(plain.layers[0].ffn).__name__ == 'FFN'


def test_forms_of_output():
    x = torch.randn(2, 3, 32, 48)
    for out_type in ('token', 'average'):
        assert KAT(SMALL, img_size=32, patch_size=8, out_type=out_type)(x).shape == (2, 48)
    maps = KAT(SMALL, img_size=32, patch_size=8, out_type='map', out_indices=(0, -1))(torch.randn(2, 3, 30, 45))
    assert [tuple(m.shape) for m in maps] == [(2, 48, 4, 6)] * 2


def test_windows_are_undone():
    x = torch.randn(2, 5, 7, 3)
    parts = windows(x, 4)
    assert parts.shape == (2 * 2 * 2, 16, 3)
    assert torch.equal(merge_windows(parts, 4, 5, 7), x)


def test_windows_keep_tokens_apart():
    """A pixel reaches its own window alone until a block attends to all."""
    torch.manual_seed(0)
    changed = {}
    for name, global_indices in (('windows', ()), ('global', (1,))):
        model = KAT(SMALL, img_size=32, patch_size=8, class_token=False, window=2, global_indices=global_indices,
                    out_type='map').eval()
        one = torch.randn(1, 3, 32, 32)
        other = one.clone()
        other[..., 0, 0] += 1
        with torch.no_grad():
            changed[name] = (model(one)[0] - model(other)[0]).abs().amax(1)[0] > 0
    assert changed['windows'][:2, :2].all() and changed['windows'].sum() == 4
    assert changed['global'].all()


def test_recomputing_changes_nothing():
    torch.manual_seed(0)
    model = KAT(SMALL, img_size=32, patch_size=8).train()
    x = torch.randn(1, 3, 32, 32)
    gradients = []
    for model.with_checkpoint in (False, True):
        model.zero_grad()
        model(x).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients))


def test_official_start():
    torch.manual_seed(0)
    model = KAT(dict(channels=96, depth=1, num_heads=3), weight_init='official')
    model.init_weights()
    attention = model.blocks[0].attn
    head, weight = 32, attention.qkv.weight.detach()
    value_proj = weight[192:] @ attention.proj.weight.detach()
    assert float(value_proj.diagonal().mean()) == pytest.approx(-0.4, abs=0.05)
    assert weight[:head].shape == (32, 96) and model.blocks[0].ffn.fc1.weight.detach().std() == pytest.approx(0.02, rel=0.1)


def test_position_embedding_of_another_grid(tmp_path):
    model = KAT(SMALL, img_size=32, patch_size=8)
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in model.state_dict().items()}), tmp_path / 'kat.pth')
    for other in (dict(img_size=64), dict(img_size=(32, 48), class_token=False, out_type='map'), dict(img_size=32)):
        new = KAT(SMALL, patch_size=8, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'kat.pth')), **other)
        new.init_weights()
        assert torch.equal(new.blocks[2].ffn.fc1.weight, model.blocks[2].ffn.fc1.weight)
        # Bicubic resizing keeps the mean, about.
        assert (new.pos_embed.mean(1) - model.pos_embed.mean(1)).abs().max() < 0.02
    wrong = KAT(dict(SMALL, depth=4), img_size=32, patch_size=8,
                init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'kat.pth')))
    with pytest.raises(ValueError, match='blocks.3'):
        wrong.init_weights()


def test_a_vit_becomes_a_kat_that_computes_the_same():
    """The paper's recipe: linear weights kept, gelu replaced by a rational next to it."""
    torch.manual_seed(0)
    plain = KAT(SMALL, img_size=32, patch_size=8, ffn=dict(type='FFN', act_cfg=dict(type='GELU'))).eval()
    names = {'layers.0.0': 'fc1', 'layers.1': 'fc2'}
    state = {}
    for key, value in plain.state_dict().items():
        for ours, timm in names.items():
            key = key.replace(f'ffn.{ours}.', f'mlp.{timm}.')
        state[key.replace('patch_embed.', 'patch_embed.proj.')] = value
    converted = convert(state)
    model = KAT(SMALL, img_size=32, patch_size=8).eval()
    model.load_state_dict({key.removeprefix('backbone.'): value for key, value in converted.items()}, strict=True)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        difference, wanted = model(x) - plain(x), plain(x)
    assert float(difference.norm() / wanted.norm()) < 0.02


def test_feature_pyramid():
    neck = SimpleFeaturePyramid(32, 16)
    levels = neck((torch.randn(1, 32, 6, 8),))
    assert [tuple(level.shape) for level in levels] == [(1, 16, 24, 32), (1, 16, 12, 16), (1, 16, 6, 8), (1, 16, 3, 4),
                                                        (1, 16, 2, 2)]
    with pytest.raises(ValueError, match='scales knows'):
        SimpleFeaturePyramid(32, 16, scales=(3,))


def test_compiles_without_graph_breaks():
    torch._dynamo.reset()
    model = KAT(dict(SMALL, depth=1), img_size=32, patch_size=8).eval()
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
        torch.testing.assert_close(compiled(x), model(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(('arguments', 'words'), [
    (dict(arch='huge'), "arch must be one of"), (dict(out_type='maps'), 'out_type must be'),
    (dict(window=2), 'no place for a class token'), (dict(weight_init='xavier'), 'weight_init must be'),
    (dict(class_token=False), 'needs class_token')])
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        KAT(**{'arch': SMALL, **arguments})


def test_images_of_parts_of_a_patch():
    with pytest.raises(ValueError, match='patches of 8'):
        KAT(SMALL, img_size=32, patch_size=8)(torch.zeros(1, 3, 30, 32))

