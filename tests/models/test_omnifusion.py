"""OmniFusion's parts: shapes, gradients, the wrapper for perspective networks, messages."""
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData
from torch import nn

import mmxf  # noqa: F401
from mmxf.registry import MODELS
from mmxf.structures.sphere import TangentPatches, panorama_directions


def small(**kwargs):
    """A network of little width, 32-pixel patches."""
    network = dict(type='mmxf.OmniFusion', patch_size=32, encoder=dict(type='mmxf.DepthResNet', depth=18, base_channels=8),
                   decoder=dict(type='mmxf.DepthDecoder', channels=((16, 8), (8, 8), (8, 8), (8, 4), (4,))),
                   transformer=dict(type='mmxf.PatchTransformer', depth=1))
    return dict(network, **kwargs)


def estimator(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(dict(type='mmxf.DepthEstimator', backbone=small(**kwargs), losses=dict(
        depth=dict(type='mmxf.BerHuLoss'), log=dict(type='mmxf.SiLogLoss', loss_weight=0.1))))


def samples(batch: int, size=(32, 64)):
    return [BaseDataElement(metainfo=dict(img_path=f'{i}.png'), gt_depth=PixelData(data=torch.rand(1, *size) * 5))
            for i in range(batch)]


@pytest.mark.parametrize('kwargs', [
    {}, dict(rows=3), dict(rows=5), dict(rows=6), dict(geometry=None), dict(transformer=None),
    dict(geometry=None, transformer=None), dict(confidence=False), dict(geometry='points', iterations=2),
    dict(geometry='points', iterations=3, confidence=False),
    dict(true_angle=True), dict(patch_size=64)])
def test_every_variant_learns_and_predicts(kwargs):
    model = estimator(**kwargs)
    inputs = torch.rand(2, 3, 32, 64)
    losses = model(inputs, samples(2), mode='loss')
    assert set(losses) == {'loss_depth', 'loss_log'}
    sum(losses.values()).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    # All weights move but those that the variant does not use; pred and confidence share one convolution.
    assert without == (set() if kwargs.get('iterations', 1) > 1 or kwargs.get('geometry') != 'points' else {'later_embedding'})
    model.eval()
    with torch.no_grad():
        found = model(inputs, samples(2), mode='predict')
    assert found[1].pred_depth.data.shape == (1, 32, 64) and torch.isfinite(found[1].pred_depth.data).all()


def test_training_and_evaluation_agree_when_the_norms_are_fixed():
    model = estimator(geometry='points', iterations=2).eval()
    inputs = torch.rand(1, 3, 40, 90)
    with torch.no_grad():
        folded = model(inputs)
    torch.testing.assert_close(model(inputs).detach(), folded, rtol=1e-4, atol=1e-5)


def test_patches_of_several_panoramas_are_kept_apart():
    model = estimator().eval()
    inputs = torch.rand(3, 3, 32, 64)
    with torch.no_grad():
        together, alone = model(inputs), torch.cat([model(one[None]) for one in inputs])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@MODELS.register_module()
class BallRoom(nn.Module):
    """The depth along the optical axis that a camera in the middle of a ball of 2 m sees, whatever the picture."""

    def __init__(self, layout: dict, patch_size: int) -> None:
        super().__init__()
        self.lengths = TangentPatches(**layout).ray_lengths(patch_size)

    def forward(self, images):
        return (2 / self.lengths).expand(len(images), 1, -1, -1)


def test_a_perspective_network_on_patches_gives_depth_along_the_ray():
    layout = dict(rows=4, fov=85., true_angle=True)
    network = dict(type='mmxf.BallRoom', layout=layout, patch_size=48)
    model = MODELS.build(dict(type='mmxf.TangentDepth', network=network, patch_size=48, **layout))
    depth = model(torch.rand(2, 3, 64, 128))
    torch.testing.assert_close(depth, torch.full((2, 1, 64, 128), 2.0), rtol=1e-3, atol=1e-3)
    flat = MODELS.build(dict(type='mmxf.TangentDepth', network=network, patch_size=48, along_ray=True, **layout))
    assert flat(torch.rand(1, 3, 64, 128)).std() > 0.05


def test_the_unet_serves_perspective_images_and_panoramas():
    unet = dict(type='mmxf.DepthUNet', encoder=dict(type='mmxf.DepthResNet', depth=18, base_channels=8),
                decoder=dict(type='mmxf.DepthDecoder', channels=((16, 8), (8, 8), (8, 8), (8, 4), (4,))))
    torch.manual_seed(0)
    plain = MODELS.build(unet).eval()
    assert plain(torch.rand(2, 3, 50, 70)).shape == (2, 1, 50, 70)
    for parts in (None, 5):
        model = MODELS.build(dict(type='mmxf.TangentDepth', network=unet, patch_size=32, patches_per_batch=parts)).eval()
        model.network.load_state_dict(plain.state_dict())
        with torch.no_grad():
            found = model(torch.ones(1, 3, 32, 64))
        assert found.shape == (1, 1, 32, 64)


def test_predictions_meet_the_true_depth_at_its_size():
    model = estimator().eval()
    with torch.no_grad():
        sample, = model(torch.rand(1, 3, 32, 64), samples(1, (50, 100)), mode='predict')
    assert sample.pred_depth.data.shape == (1, 50, 100)


def test_spherical_losses_forget_the_poles():
    model = estimator()
    plain = model(torch.rand(1, 3, 32, 64), samples(1), mode='loss')['loss_depth']
    model.spherical = True
    assert model(torch.rand(1, 3, 32, 64), samples(1), mode='loss')['loss_depth'] != plain


@pytest.mark.parametrize('kwargs, message', [
    (dict(geometry='sphere'), "geometry must be 'centre'"), (dict(iterations=2), "need geometry='points'"),
    (dict(patch_size=40), 'multiple of 32, got 40'), (dict(rows=2), 'rows=2'), (dict(patch_size=96), 'square patches of 32, 64')])
def test_wrong_arguments_are_answered(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(small(**kwargs))


def test_wrong_inputs_are_answered():
    model = estimator()
    with pytest.raises(ValueError, match=r'gives depth of \(32, 64\), the targets are \(16, 32\)'):
        model(torch.rand(1, 3, 32, 64), samples(1, (16, 32)), mode='loss')
    with pytest.raises(ValueError, match="mode must be 'tensor'"):
        model(torch.rand(1, 3, 32, 64), mode='train')
    data = dict(inputs=[torch.zeros(3, 8, 16), torch.zeros(3, 8, 18)], data_samples=samples(2))
    with pytest.raises(ValueError, match=r'one size: 0\.png is \(8, 16\), 1\.png \(8, 18\)'):
        model.data_preprocessor(data)


def test_directions_of_patches_and_panoramas_agree():
    rays = panorama_directions((64, 128), align_corners=True)                 # x right, y down, z ahead
    layout = TangentPatches(4)
    merged = layout.merge(layout.directions(32)[None], (64, 128))[0]          # x right, y ahead, z down
    merged = torch.nn.functional.normalize(merged, dim=0)
    assert (merged.permute(1, 2, 0)[..., [0, 2, 1]] - rays).norm(dim=-1).median() < 0.05


def test_a_backbone_of_another_library_sees_panoramas_through_patches():
    """The config whose network is mmsegmentation's MixVisionTransformer: it learns, and predicts at the panorama's size."""
    from mmxf.apis.init_model import build_model, open_config

    model = build_model(open_config('configs/omnifusion/omnifusion_tangent_mit_mini.py'), seed=0).train()
    assert type(model.backbone.network.encoder).__module__.startswith('mmseg')
    inputs, targets = torch.rand(2, 3, 32, 64), samples(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(8):
        loss = model(inputs, targets, mode='loss')['loss_depth']
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None for p in model.backbone.network.encoder.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses
    with torch.no_grad():
        found, _ = model.eval()(inputs, targets, mode='predict')
    assert found.pred_depth.data.shape == (1, 32, 64)
