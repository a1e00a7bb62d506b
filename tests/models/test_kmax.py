"""Parts of kMaX-DeepLab against plain second implementations."""
import math
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.structures import InstanceData, PixelData

import mmxf  # noqa: F401
from mmxf.models.kmax.decoder import KMaXLayer, sum_by_cluster
from mmxf.models.kmax.inference import collect_claims, instances, panoptic_map
from mmxf.models.kmax.loss import class_loss
from mmxf.models.kmax.mask_loss import mask_losses
from mmxf.models.kmax.matcher import match
from mmxf.models.kmax.pixel_decoder import AxialAttention, KMaXPixelDecoder
from mmxf.models.kmax.pixel_discrimination import pixel_discrimination_loss
from mmxf.models.kmax.sampling import gumbel_top_k, read_resized, sample_pixels
from mmxf.registry import MODELS

sys.path.insert(0, str(Path(__file__).parent))


def random_norms(module: torch.nn.Module) -> torch.nn.Module:
    """Norms that do something: statistics, scales and shifts away from their first values."""
    for norm in module.modules():
        if isinstance(norm, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(norm.weight, -1.5, 1.5)
            torch.nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return module.eval()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_sum_by_cluster_is_the_product_with_one_hot_assignments():
    values, assignment = torch.randn(2, 50, 3), torch.randint(0, 7, (2, 50))
    dense = torch.einsum('bnq,bnd->bqd', F.one_hot(assignment, 7).float(), values)
    torch.testing.assert_close(sum_by_cluster(values, assignment, 7), dense)


@pytest.mark.parametrize('axis', ['height', 'width'])
def test_axial_attention_follows_its_definition(axis):
    attention = random_norms(AxialAttention(6, key_depth=8, value_depth=16, num_heads=2, axis=axis, max_span=9))
    x = torch.randn(2, 6, 5, 4)
    with torch.no_grad():
        out = attention(x)
    torch.testing.assert_close(out, attention(x).detach(), rtol=1e-4, atol=1e-5)
    # One line, one position at a time.
    line = x[1, :, :, 2] if axis == 'height' else x[1, :, 3, :]                                  # (C, L)
    length = line.shape[1]
    qkv = attention.qkv.norm(attention.qkv.conv(line[None, :, :, None]))[0, :, :, 0].detach()
    q, k, v = (t.view(2, -1, length) for t in qkv.split([8, 8, 16]))
    tables = [table.weight.detach() for table in (attention.query_rpe, attention.key_rpe, attention.value_rpe)]
    terms = torch.zeros(6, length, length)
    for head in range(2):
        for i in range(length):
            for j in range(length):
                offset = j - i + 8
                terms[head, i, j] = q[head, :, i] @ k[head, :, j]
                terms[2 + head, i, j] = q[head, :, i] @ tables[0][offset]
                terms[4 + head, i, j] = k[head, :, j] @ tables[1][offset]
    weights = attention.similarity_norm(terms[None])[0].view(3, 2, length, length).sum(0).softmax(-1).detach()
    content, position = torch.zeros(16, length), torch.zeros(16, length)
    for head in range(2):
        for i in range(length):
            for j in range(length):
                content[8 * head:8 * head + 8, i] += weights[head, i, j] * v[head, :, j]
                position[8 * head:8 * head + 8, i] += weights[head, i, j] * tables[2][j - i + 8]
    expected = attention.output_norm(torch.cat([content, position])[None, :, :, None])[0].view(2, 16, length).sum(0).detach()
    found = out[1, :, :, 2] if axis == 'height' else out[1, :, 3, :]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_the_gradient_of_axial_attention_is_that_of_finite_differences(layout):
    attention = AxialAttention(4, 8, 8, 2, 'height', max_span=5).double().train().to(memory_format=layout)
    attention._attend = lambda q, k, v: attention._retrieve(attention._similarity(q, k).softmax(-1), v)    # all in float64
    weight = torch.randn(2, 8, 5, 3, dtype=torch.float64)
    x = torch.randn(2, 4, 5, 3, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: (attention(x) * weight).sum(), (x,), atol=1e-6, check_undefined_grad=False)


def test_a_side_beyond_the_relative_tables_is_refused():
    attention = AxialAttention(4, 8, 8, 2, 'height', max_span=4).eval()
    attention(torch.randn(1, 4, 4, 9))
    with pytest.raises(ValueError, match='5 positions.*spans 4'):
        attention(torch.randn(1, 4, 5, 9))


def test_the_inference_of_a_layer_equals_its_training_path():
    layer = random_norms(KMaXLayer(12, 5, query_channels=16, width=16, num_heads=2, ffn_channels=32))
    pixels, queries = torch.randn(2, 12, 9, 7), torch.randn(2, 16, 6)
    with torch.no_grad():
        fast, none = layer(pixels, queries)
    slow, prediction = layer(pixels, queries)
    assert none is None and prediction.class_logits.shape == (2, 6, 6)
    torch.testing.assert_close(fast, slow.detach(), rtol=1e-4, atol=1e-4)


def test_stage_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match='4, 4, 3, 4'):
        KMaXPixelDecoder((8, 8, 8, 8), num_blocks=(1, 1, 1))


def plain_mask_losses(logits, pixel_query, area, weight, size):
    """The same losses with dense targets and autograd."""
    x = F.interpolate(logits[None], size=size, mode='bilinear', align_corners=size[0] % 2 == 1)[0].flatten(1)
    void = pixel_query < 0
    target = F.one_hot(pixel_query.clamp(min=0), len(x)).t().to(x) * ~void
    entropy = F.cross_entropy(x[None], target[None], reduction='none')[0].masked_fill(void, 0)
    probs = x.softmax(0).masked_fill(void, 0)
    dice = 1 - (2 * (probs * target).sum(1) + 1) / (probs.sum(1) + target.sum(1) + 1)
    return entropy.sum() / (entropy != 0).sum().clamp(min=1), (dice * weight).sum() * 0.75 / len(x)


@pytest.mark.parametrize(('low', 'size'), [((5, 4), (9, 7)), ((4, 6), (8, 12)), ((7, 7), (7, 7))])
def test_mask_losses_and_their_gradients(low, size):
    logits = torch.randn(6, *low, dtype=torch.float64, requires_grad=True)
    pixel_query = torch.randint(-1, 4, (size[0] * size[1],))
    area = torch.bincount(pixel_query[pixel_query >= 0], minlength=6).double()
    weight = torch.rand(6).double() * (area > 0)
    ours = mask_losses(logits[None], pixel_query, area, weight, size)
    plain = plain_mask_losses(logits, pixel_query, area, weight, size)
    for a, b in zip(ours, plain):
        torch.testing.assert_close(a, b)
        ours_grad, = torch.autograd.grad(a, logits, retain_graph=True)
        plain_grad, = torch.autograd.grad(b, logits, retain_graph=True)
        torch.testing.assert_close(ours_grad, plain_grad)


def test_mask_losses_of_an_image_without_labelled_pixels_are_finite():
    logits = torch.randn(3, 4, 4, requires_grad=True)
    losses = mask_losses(logits[None], torch.full((16,), -1), torch.zeros(3), torch.zeros(3), (4, 4))
    sum(losses).backward()
    assert losses[0] == 0 and torch.isfinite(logits.grad).all()


def test_pixel_discrimination_loss_and_its_gradient():
    features = F.normalize(torch.randn(1200, 5, dtype=torch.float64), dim=1).requires_grad_()
    segments = torch.randint(-1, 6, (1200,))
    loss = pixel_discrimination_loss(features, segments, 0.3)
    same = (segments[:, None] == segments[None]) & (segments >= 0)[None]
    target = same / same.sum(0, keepdim=True).clamp(min=1)
    plain = F.cross_entropy((features @ features.t() / 0.3)[None], target[None].double(), reduction='none')[0]
    plain = plain.sum() / (plain != 0).sum()
    torch.testing.assert_close(loss, plain)
    torch.testing.assert_close(*(torch.autograd.grad(x, features, retain_graph=True)[0] for x in (loss, plain)))


@pytest.mark.parametrize(('low', 'size'), [((5, 4), (17, 13)), ((4, 6), (16, 24)), ((6, 6), (6, 6))])
def test_reading_a_resized_map_at_points(low, size):
    maps, align = torch.randn(3, *low), size[0] % 2 == 1
    index = torch.randperm(size[0] * size[1])
    resized = F.interpolate(maps[None], size=size, mode='bilinear', align_corners=align)[0].flatten(1)
    torch.testing.assert_close(read_resized(maps[None], index, size, align), resized[:, index].t(), rtol=1e-4, atol=1e-5)


def test_sampling_prefers_small_segments_and_leaves_void_for_last():
    area = torch.cat([torch.full((990,), 990.), torch.full((10,), 10.), torch.zeros(500)])
    counts = torch.stack([torch.bincount(torch.bucketize(sample_pixels(area, 100, 1.5), torch.tensor([990, 1000]),
                                                         right=True), minlength=3) for _ in range(20)]).float().mean(0)
    assert counts[1] > 9.5 and counts[2] == 0 and abs(counts.sum() - 100) < 1e-3
    assert len(sample_pixels(area, 5000, 1.5)) == 1500
    draws = torch.stack([gumbel_top_k(torch.log(torch.tensor([0.7, 0.2, 0.1])), 1) for _ in range(4000)])
    torch.testing.assert_close(torch.bincount(draws.flatten()) / 4000, torch.tensor([0.7, 0.2, 0.1]), atol=0.03, rtol=0)


def test_class_loss_by_hand():
    logits = torch.zeros(3, 3)    # log 3 each
    loss = class_loss(logits, torch.tensor([0, 2, 1]), torch.tensor([1.0, 0.5, 0.0]))
    # real class 0.75, void 0.25; the last has no weight and is not counted.
    assert math.isclose(loss.item(), (0.75 + 0.25 * 0.5) * math.log(3) / 2, rel_tol=1e-6)


def test_matching_finds_the_queries_and_their_weights():
    segments = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, -1]])
    labels = torch.tensor([1, 0, 1])
    owner = {4: 0, 2: 1, 0: 2}     # query 4 draws segment 0, ...
    mask_logits = torch.zeros(5, 3, 4)
    class_logits = torch.zeros(5, 3)
    for query, segment in owner.items():
        mask_logits[query][segments == segment] = 20
        class_logits[query, labels[segment]] = 5
    mask_logits[3][segments == -1] = 20
    m = match(mask_logits, class_logits, labels, segments, 1e-5)
    assert m.pixel_query.tolist() == [4, 4, 2, 2, 4, 4, 2, 2, 0, 0, 0, -1]
    assert m.query_label.tolist() == [1, 2, 0, 2, 1]
    assert m.query_area.tolist() == [3, 0, 4, 0, 4]
    prob = torch.tensor([5., 0, 0]).softmax(0)[0].item()
    torch.testing.assert_close(m.mask_weight, torch.tensor([prob, 0, prob, 0, prob]))
    # Query 1 touches nothing, query 3 lies on void.
    torch.testing.assert_close(m.class_weight, torch.tensor([1., 0, 1, 1, 1]), atol=1e-3, rtol=0)


def test_more_segments_than_queries_leave_the_worst_ones_void():
    segments = torch.arange(4).view(2, 2)
    m = match(torch.eye(4)[:2].view(2, 2, 2) * 9, torch.zeros(2, 3), torch.tensor([0, 1, 0, 1]), segments, 1e-5)
    assert m.pixel_query.tolist() == [0, 1, -1, -1]


def test_predictions_that_are_not_finite_are_reported_by_the_matcher():
    with pytest.raises(RuntimeError, match='NaN'):
        match(torch.full((2, 2, 2), torch.nan), torch.zeros(2, 3), torch.tensor([0]), torch.zeros(2, 2).long(), 1e-5)


def plain_panoptic(mask_logits, class_probs, things, padded, real, target, rule, threshold):
    """The official loop over full-size masks."""
    align = padded[1] % 2 == 1
    x = F.interpolate(mask_logits[None], size=padded, mode='bilinear', align_corners=align)
    x = F.interpolate(x[..., :real[0], :real[1]], size=target, mode='bilinear', align_corners=align)[0].softmax(0)
    binary = x > threshold
    scores, labels = class_probs.max(-1)
    quality = (x * binary).flatten(1).sum(1) / binary.flatten(1).sum(1).clamp(min=1)
    ids, infos, stuff = torch.zeros(target, dtype=torch.long), [], {}
    for q in torch.argsort(scores * quality, descending=True).tolist():
        is_thing = labels[q].item() in things
        free = binary[q] & (ids == 0)
        if scores[q] <= rule['thing_threshold' if is_thing else 'stuff_threshold'] or \
                free.sum() <= binary[q].sum() * rule['overlap_threshold']:
            continue
        if not is_thing and labels[q].item() in stuff:
            ids[free] = stuff[labels[q].item()]
            continue
        infos.append((len(infos) + 1, labels[q].item()))
        ids[free] = len(infos)
        if not is_thing:
            stuff[labels[q].item()] = len(infos)
    return ids, infos, binary, x


@pytest.mark.parametrize('threshold', [0.4, 0.15])
@pytest.mark.parametrize(('low', 'padded', 'real', 'target'), [
    ((9, 9), (33, 33), (25, 33), (47, 61)), ((8, 8), (32, 32), (32, 20), (50, 31)), ((9, 17), (33, 65), (33, 65), (33, 65))])
def test_post_processing_against_the_plain_loop(low, padded, real, target, threshold):
    # Pairs of equal queries share their pixels nearly evenly: both may pass the threshold.
    mask_logits = torch.randn(10, *low) * 4
    mask_logits[5:] = mask_logits[:5] + torch.randn(5, *low) * 0.2
    class_probs = (torch.randn(10, 6) * 3).softmax(-1)
    rule = dict(thing_threshold=0.3, stuff_threshold=0.2, overlap_threshold=0.6)
    ids, infos, binary, probs = plain_panoptic(mask_logits, class_probs, {0, 1, 2}, padded, real, target, rule, threshold)
    claims = collect_claims(mask_logits, threshold, padded, real, target, class_probs)
    assert len(claims.doubles) > 0, 'the case has no pixel with two claims'
    torch.testing.assert_close(claims.count, binary.flatten(1).sum(1))
    found, found_infos = panoptic_map(claims, class_probs, (0, 1, 2), class_exponent=1.0, mask_exponent=1.0, **rule)
    assert (found.view(target) == ids).all()
    assert [(i['id'], i['label']) for i in found_infos] == infos
    semantic = torch.einsum('qk,qp->kp', class_probs, probs.flatten(1)).argmax(0)
    assert (claims.semantic == semantic).float().mean() > 0.999
    result = instances(claims, class_probs, (0, 1, 2), target, top_k=20)
    for mask, box, label in zip(result['masks'], result['bboxes'], result['labels']):
        assert label < 3 and any((mask == b).all() for b in binary)
        if mask.any():
            rows, cols = mask.any(1).nonzero(), mask.any(0).nonzero()
            assert box.tolist() == [cols[0], rows[0], cols[-1] + 1, rows[-1] + 1]


def small_segmentor(**head):
    return MODELS.build(dict(
        type='PanopticSegmentor',
        backbone=dict(type='KMaXResNet', depth=18, base_channels=16, stem_channels=16,
                      norm_cfg=dict(type='BN', eps=1e-3, momentum=0.01), norm_eval=False),
        head=dict(type='KMaXHead', num_classes=5, thing_labels=(0, 1), in_channels=(16, 32, 64, 128),
                  pixel_decoder=dict(type='KMaXPixelDecoder', base_channels=(32, 16, 16, 16), num_blocks=(1, 1, 1, 1)),
                  decoder=dict(type='KMaXDecoder', num_queries=12, num_layers=(1, 1, 1), pixel_channels=(128, 64, 64),
                               final_channels=64, query_channels=32, ffn_channels=32, num_heads=2),
                  auxiliary=dict(type='KMaXSemanticDecoder', channels=16, skip_channels=(8, 8), rates=(1, 2, 3)),
                  loss=dict(type='KMaXLoss', sample_size=64, semantic_sample_size=64), **head)))


def sample(labels, index):
    from mmdet.structures import DetDataSample
    result = DetDataSample(metainfo=dict(img_shape=(60, 64), ori_shape=(90, 96)))
    result.gt_instances = InstanceData(labels=torch.tensor(labels, dtype=torch.long))
    result.gt_panoptic_index = PixelData(data=index[None])
    return result


@pytest.mark.parametrize('batch', [1, 2])
def test_every_parameter_of_the_segmentor_learns(batch):
    model = small_segmentor().train()
    samples = [sample([3, 0, 0], torch.randint(-1, 3, (16, 16))) for _ in range(batch)]
    sum(model(torch.randn(batch, 3, 64, 64), samples, mode='loss').values()).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert not silent


def test_recomputed_parts_count_each_batch_once_and_change_no_gradient(monkeypatch):
    from mmxf.models.kmax import sampling
    monkeypatch.setattr(sampling, 'uniform_noise', lambda like: torch.linspace(0.1, 0.9, like.numel()))
    image, samples = torch.randn(2, 3, 64, 64), [sample([3, 0, 0], torch.randint(-1, 3, (16, 16))) for _ in range(2)]
    torch.manual_seed(1)
    models = [small_segmentor(recompute=again).train() for again in (True, False)]
    models[1].load_state_dict(models[0].state_dict())
    for model, times in zip(models, (2, 1)):
        runs = []
        for name in ('pixel_decoder.stages.0.0.middle.0.similarity_norm', 'decoder.predictor.pixel_embed', 'auxiliary.head'):
            model.head.get_submodule(name).register_forward_pre_hook(lambda *_, runs=runs, name=name: runs.append(name))
        model.head.auxiliary.aspp.dropout.p = 0
        sum(model(image, samples, mode='loss').values()).backward()
        assert len(runs) == 3 * times, runs
    for (name, a), (_, b) in zip(models[0].state_dict().items(), models[1].state_dict().items()):
        torch.testing.assert_close(a, b, msg=name)
    for (name, a), (_, b) in zip(models[0].named_parameters(), models[1].named_parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_predictions_have_the_original_size_and_mmdets_encoding():
    model = small_segmentor(thing_threshold=0.0, stuff_threshold=0.0, pixel_threshold=0.34).eval()
    model.outputs = ('panoptic', 'instance', 'semantic')
    with torch.no_grad():
        result, = model(torch.randn(1, 3, 64, 64), [sample([], torch.zeros(16, 16).long())], mode='predict')
    codes = result.pred_panoptic_seg.sem_seg
    assert codes.shape == (1, 90, 96) and result.pred_sem_seg.sem_seg.shape == (1, 90, 96)
    assert result.pred_instances.masks.shape[1:] == (90, 96)
    assert set((codes % 1000).unique().tolist()) <= {*range(6)}


def test_targets_of_the_wrong_size_and_empty_images_are_refused():
    model = small_segmentor().train()
    with pytest.raises(ValueError, match='mask stride'):
        model(torch.randn(2, 3, 64, 64), [sample([0], torch.zeros(8, 8).long())] * 2, mode='loss')
    with pytest.raises(ValueError, match='no segment'):
        model(torch.randn(2, 3, 64, 64), [sample([], torch.full((16, 16), -1))] * 2, mode='loss')


def test_inputs_and_modes_that_do_not_exist_are_refused():
    model = small_segmentor().eval()
    with pytest.raises(ValueError, match=r'\(B, 3, H, W\)'):
        model(torch.randn(3, 64, 64))
    with pytest.raises(ValueError, match="'tensor', 'loss' or 'predict'"):
        model(torch.randn(1, 3, 64, 64), mode='logits')


@pytest.mark.parametrize('size', [(64, 64), (65, 65)])
def test_test_time_augmentation_of_a_symmetric_model_keeps_its_result(size):
    """Views of equal predictions average to that prediction; the segmentor's own checkpoint loads."""
    from mmengine.runner.checkpoint import load_state_dict

    from mmxf.tasks import PanopticTTA
    model = small_segmentor(thing_threshold=0.0, stuff_threshold=0.0, pixel_threshold=0.2).eval()
    twin = small_segmentor(thing_threshold=0.0, stuff_threshold=0.0, pixel_threshold=0.2).eval()
    plain, flipped = PanopticTTA(twin, scales=(1.0,), flip=False).eval(), PanopticTTA(model, scales=(1.0,), flip=True).eval()
    load_state_dict(plain, {k: v.clone() for k, v in model.state_dict().items()}, strict=True)
    image = torch.randn(1, 3, *size)
    samples = [sample([], torch.zeros(16, 16).long()) for _ in range(3)]
    for s in samples:
        s.set_metainfo(dict(img_shape=size, ori_shape=size))
    with torch.no_grad():
        expected = model(image, samples[:1], mode='predict')[0].pred_panoptic_seg.sem_seg
        found = plain(image, samples[1:2])[0].pred_panoptic_seg.sem_seg
        # The mean over an image and its mirror image is symmetric itself.
        mirrored = flipped(torch.cat([image, image.flip(-1)]), samples[1:])
    assert (found == expected).float().mean() > 0.99
    a, b = (s.pred_panoptic_seg.sem_seg % 1000 for s in mirrored)
    assert (a == b.flip(-1)).float().mean() > 0.9
    with pytest.raises(ValueError, match='1.0'):
        PanopticTTA(model, scales=(0.5,))


def test_folded_weights_follow_every_change():
    model = small_segmentor().eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model(image)['mask_logits'].clone()
        model.load_state_dict({k: v * 1.05 if v.is_floating_point() else v for k, v in model.state_dict().items()})
        after = model(image)['mask_logits']
        torch.testing.assert_close(after, model(image)['mask_logits'])
    assert (before - after).abs().max() > 1e-4
    torch.testing.assert_close(after, model(image)['mask_logits'].detach(), rtol=1e-3, atol=1e-4)
