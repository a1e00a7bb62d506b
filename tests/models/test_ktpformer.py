"""KTPFormer's parts: any skeleton, priors as plug-ins, lean layers, losses, inference over videos, aggregation."""
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ktpformer_cases import ROOT, lifter
from mmengine.structures import BaseDataElement
from torch import nn

from mmxf.config import load_config
from mmxf.datasets.pose_metainfo import H36M_METAINFO, SKELETONS
from mmxf.layers import lean_block
from mmxf.layers.drop_path import residual
from mmxf.layers.lean_linear import linear, norm_linear, norm_mlp, project
from mmxf.models.ktpformer import encoder
from mmxf.models.ktpformer.diffusion import aggregate_by_reprojection
from mmxf.models.ktpformer.loss import PoseLiftingLoss
from mmxf.registry import MODELS
from mmxf.structures import cameras
from mmxf.structures.skeleton import mirror

SMALL = dict(channels=32, depth=2, num_heads=4)


def sample(poses: torch.Tensor) -> BaseDataElement:
    element = BaseDataElement()
    element.gt_keypoints_3d = poses
    return element


@pytest.mark.parametrize('name', SKELETONS)
def test_any_skeleton_trains_and_lifts(name):
    skeleton = SKELETONS[name]
    joints = len(skeleton['joints'])
    model = lifter(9, skeleton, **SMALL)
    losses = model(torch.randn(2, 9, joints, 2), [sample(torch.randn(9, joints, 3)) for _ in range(2)], mode='loss')
    sum(losses.values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    found = model.eval().forward([torch.randn(20, joints, 2), torch.randn(3, joints, 2)], mode='predict')
    assert [tuple(s.pred_keypoints_3d.shape) for s in found] == [(20, joints, 3), (3, joints, 3)]


def test_the_configs_of_the_ablation_have_the_parts_they_name():
    for ending, spatial, temporal in (('_mixste', 'LinearEmbedding', False), ('_kpa', 'KinematicsPrior', False),
                                      ('_tpa', 'LinearEmbedding', True), ('', 'KinematicsPrior', True)):
        cfg = load_config(ROOT / f'configs/ktpformer/ktpformer_f27_h36m_cpn{ending}.py')
        with torch.device('meta'):
            model = MODELS.build(cfg.model)
        assert type(model.backbone.spatial_prior).__name__ == spatial
        assert (model.backbone.temporal_prior is not None) == temporal
        assert model.backbone.temporal_blocks[0].attention_norm.eps == (1e-5 if temporal else 1e-6)


def test_lean_layers_are_the_plain_ones():
    torch.manual_seed(0)
    norm, first, second = nn.LayerNorm(64), nn.Linear(64, 96), nn.Linear(96, 64)
    for rows in (5, 600):           # small inputs take another path than large ones
        x = torch.randn(2, rows, 64, requires_grad=True)
        for ours, plain in ((lambda x: linear(x, first), first),
                            (lambda x: project(x, first.weight), lambda x: x @ first.weight.t()),
                            (lambda x: norm_linear(x, norm, first), lambda x: first(norm(x))),
                            (lambda x: norm_mlp(x, norm, first, second), lambda x: second(F.gelu(first(norm(x)))))):
            sources = [x, *norm.parameters(), *first.parameters(), *second.parameters()]
            seed = torch.randn_like(plain(x))
            expected = torch.autograd.grad(plain(x), sources, seed, allow_unused=True)
            found = torch.autograd.grad(ours(x), sources, seed, allow_unused=True)
            for a, b in zip(found, expected):
                assert (a is None) == (b is None)
                assert a is None or torch.allclose(a, b, rtol=1e-4, atol=1e-4 * b.abs().max())
            with torch.no_grad():
                assert torch.allclose(ours(x), plain(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('tokens', [30, 200, 4096])         # parts of a window, of windows, all at once
@pytest.mark.parametrize('length, count', [(9, 0), (9, 6), (6, 40)])    # as it comes; other axes, short and long sequences
@pytest.mark.parametrize('chunk_mlp, drop_path', [(False, 0.0), (True, 0.4), (False, 0.9)])
def test_a_block_in_parts_is_the_plain_block(monkeypatch, tokens, length, count, chunk_mlp, drop_path):
    torch.manual_seed(0)
    block = encoder.PoseBlock(32, 4, 2.0, drop_path, chunk_mlp=chunk_mlp).train()
    before = nn.LayerNorm(32) if count else None
    parameters = [*block.parameters(), *(before.parameters() if count else ())]
    for parameter in parameters:
        if parameter.dim() == 1:
            nn.init.normal_(parameter, 1, 0.2)
    x = torch.randn(5 * (count or 1), length, 32, requires_grad=True)
    seed = torch.randn(5 * (length if count else 1), count or length, 32)

    def run():
        torch.manual_seed(1)
        out = block(x, before, count)
        return [out, *torch.autograd.grad(out, [x, *parameters], seed, allow_unused=True)]

    monkeypatch.setattr(lean_block, '_TOKENS', tokens)
    found = run()
    monkeypatch.setattr(encoder, 'is_lean', lambda x: False)
    for a, b in zip(found, run()):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, rtol=1e-4, atol=1e-5 * max(1.0, b.abs().max().item()))


def test_drop_path_drops_rows_and_scales_the_others():
    torch.manual_seed(0)
    x = torch.zeros(4000, 2)
    out = residual(x, lambda rows: torch.ones_like(rows), 0.25, training=True)
    kept = out[:, 0] > 0
    assert abs(kept.float().mean() - 0.75) < 0.03
    assert torch.allclose(out[kept], torch.tensor(1 / 0.75)) and (out[~kept] == 0).all()
    assert (residual(x, torch.ones_like, 0.25, training=False) == 1).all()


def test_making_blocks_again_changes_no_gradient():
    torch.manual_seed(0)
    plain, again = (lifter(9, H36M_METAINFO, **SMALL, recompute_blocks=r).train() for r in (False, True))
    again.load_state_dict(plain.state_dict())
    x = torch.randn(2, 9, 17, 2)
    for model in (plain, again):
        model(x).square().mean().backward()
    for a, b in zip(plain.parameters(), again.parameters()):
        assert torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-7)


def test_losses_by_hand():
    meta = dict(H36M_METAINFO, joint_weights=tuple(range(1, 18)))
    predicted, target = torch.randn(2, 4, 17, 3, requires_grad=True), torch.randn(2, 4, 17, 3)
    losses = PoseLiftingLoss(meta)(predicted, target)
    position = consistency = velocity = 0.0
    for b in range(2):
        for f in range(4):
            for k in range(17):
                position += (k + 1) * (predicted[b, f, k] - target[b, f, k]).norm() / (2 * 4 * 17)
                if f:
                    change = predicted[b, f, k] - predicted[b, f - 1, k]
                    consistency += (k + 1) * change.square().sum() / (2 * 3 * 17 * 3)
                    velocity += (change - target[b, f, k] + target[b, f - 1, k]).norm() / (2 * 3 * 17)
    for value, expected in zip(losses.values(), (position, 0.5 * consistency, 2 * velocity)):
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    plain, = torch.autograd.grad(sum(losses.values()), predicted)
    scaled_losses = PoseLiftingLoss(meta, gradient_by_loss=True)(predicted, target)
    total = sum(scaled_losses.values())
    scaled, = torch.autograd.grad(total, predicted)
    assert total.item() == pytest.approx(sum(losses.values()).item())
    assert torch.allclose(scaled, plain * total.item(), rtol=1e-4, atol=1e-7)


def test_videos_are_lifted_window_by_window_with_their_mirror_image():
    torch.manual_seed(0)
    model = lifter(9, H36M_METAINFO, **SMALL).eval()
    video = torch.randn(22, 17, 2)
    order = model.skeleton.mirror_order()
    with torch.no_grad():
        found, = model.forward([video], mode='predict')
        windows = torch.stack([video[:9], video[9:18], video[13:22]])
        expected = (model.backbone(windows) + mirror(model.backbone(mirror(windows, order)), order)) / 2
    assert torch.allclose(found.pred_windows, expected, atol=1e-6)
    whole = torch.cat([expected[0], expected[1], expected[2, 5:]])
    assert torch.allclose(found.pred_keypoints_3d, whole, atol=1e-6)
    with torch.no_grad():       # a mirrored video gives the mirrored result
        other, = model.forward([mirror(video, order)], mode='predict')
    assert torch.allclose(mirror(other.pred_keypoints_3d, order), found.pred_keypoints_3d, atol=1e-5)


def test_aggregation_takes_the_joint_that_reprojects_best():
    torch.manual_seed(0)
    intrinsics = torch.tensor([2.3, 2.3, 0.02, -0.01, -0.2, 0.2, 0.0, 0.001, 0.002])
    hypotheses, root = torch.randn(2, 4, 3, 17, 3) * 0.3, torch.tensor([0.1, 0.2, 4.0]).expand(2, 3, 1, 3)
    points = cameras.project(hypotheses[:, 1] + root, intrinsics) + 0.02 * torch.randn(2, 3, 17, 2)
    found = aggregate_by_reprojection(hypotheses, root, points, intrinsics)
    for w in range(2):
        for f in range(3):
            for k in range(17):
                distance = [(cameras.project(hypotheses[w, h, f, k] + root[w, f, 0], intrinsics) - points[w, f, k]).norm()
                            for h in range(4)]
                assert torch.equal(found[w, f, k], hypotheses[w, int(np.argmin(distance)), f, k])


def test_the_root_is_found_from_what_is_seen():
    torch.manual_seed(0)
    intrinsics = torch.tensor([2.3, 2.2, 0.02, -0.01, 0, 0, 0, 0, 0])
    poses, root = torch.randn(5, 17, 3) * 0.4, torch.tensor([0.3, -0.2, 4.5])
    found = cameras.fit_root(poses, cameras.project(poses + root, intrinsics), intrinsics)
    assert torch.allclose(found, root.expand(5, 1, 3), atol=1e-3)


def test_the_diffusion_version_trains_and_gives_the_same_hypotheses_twice():
    model = lifter(9, H36M_METAINFO, diffusion=True, **SMALL)
    model.backbone.sampling_steps, model.backbone.num_hypotheses = 2, 3
    losses = model(torch.randn(2, 9, 17, 2), [sample(torch.randn(9, 17, 3) * 0.3) for _ in range(2)], mode='loss')
    sum(losses.values()).backward()
    model.eval()
    element = BaseDataElement(metainfo=dict(intrinsics=np.array([2.3, 2.3, 0, 0, 0, 0, 0, 0, 0], np.float32)))
    video = torch.randn(13, 17, 2) * 0.2
    with torch.no_grad():
        first, second = (model.forward([video], [element.clone()], mode='predict')[0] for _ in range(2))
    assert first.pred_hypotheses.shape == (2, 3, 9, 17, 3) and first.pred_keypoints_3d.shape == (13, 17, 3)
    assert torch.equal(first.pred_hypotheses, second.pred_hypotheses)
    assert first.pred_hypotheses.std(1).max() > 1e-3
    # Joint by joint, the result is one of the hypotheses.
    nearest = (first.pred_windows[:, None] - first.pred_hypotheses).abs().amax(-1).amin(1)
    assert (nearest == 0).all()


def test_a_wrong_input_is_named():
    model = lifter(9, H36M_METAINFO, **SMALL).eval()
    with pytest.raises(ValueError, match='17 joints.*15'):
        model(torch.randn(1, 9, 15, 2))
    with pytest.raises(ValueError, match=r'windows \(B, 9, 17, 2\).*\(1, 8, 17, 2\)'):
        model(torch.randn(1, 8, 17, 2))


@pytest.mark.parametrize('length', [5, 17, 40])
def test_packed_attention_is_attention(length):
    from mmxf.layers.packed_attention import attention, attention_backward

    torch.manual_seed(0)
    qkv = torch.randn(70, length, 96, requires_grad=True)       # several parts of sequences, the last a smaller one
    q, k, v = qkv.view(70, length, 3, 4, 8).permute(2, 0, 3, 1, 4)
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(70, length, 32)
    seed = torch.randn_like(expected)
    with torch.no_grad():
        out, total = attention(qkv, 4)
        grad, again = attention_backward(seed, qkv, 4, out, total)
    assert torch.allclose(out, expected, atol=1e-5) and torch.allclose(again, expected, atol=1e-5)
    assert torch.allclose(grad, torch.autograd.grad(expected, qkv, seed)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('chunk_mlp, channels', [(False, 7.5), (True, 5.5)])
def test_the_blocks_keep_little_for_the_backward_pass(chunk_mlp, channels):
    """Of a token of C channels, 2 C of the residual stream a block, 3 C of Q, K and V, C after the temporal attention, and the
    hidden 2 C of the MLP where they are kept."""
    model = lifter(40, H36M_METAINFO, channels=64, depth=4, num_heads=4, priors=False, chunk_mlp=chunk_mlp).backbone.train()
    kept: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model(torch.randn(2, 40, 17, 2))
    size = sum(n for place, n in kept.items() if place not in parameters)
    token = 2 * 40 * 17 * 64 * 4
    assert size < 8 * channels * token + 4 * token
