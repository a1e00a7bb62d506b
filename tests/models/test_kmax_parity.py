"""kMaX-DeepLab against numbers of the official code (tests/parity/kmax/README.md says how they were made)."""
import re

import numpy as np
import pytest
import torch
from kmax_cases import PARITY, build, load, normalised, official_keys, official_state, relative_error, weights

from mmxf.models.kmax import sampling
from mmxf.models.kmax.convert import _official_to_ours as ours_key
from mmxf.models.kmax.convert import convert, revert
from mmxf.models.kmax.predictor import Prediction

TOLERANCE = 1e-4


def files(kind: str) -> list[str]:
    return sorted(path.stem for path in PARITY.glob(f'{kind}_*.npz'))


def split(stem: str) -> tuple[str, np.lib.npyio.NpzFile]:
    return re.fullmatch(r'[a-z]+_(\w+?)_\d+x\d+\w*', stem)[1], np.load(PARITY / f'{stem}.npz')


@pytest.fixture(scope='module')
def models():
    """Models with loaded weights, kept for the module."""
    built = {}

    def get(name: str):
        if name not in built:
            built.clear()
            built[name] = load(build(name), name)
        return built[name].eval() or built[name]

    return get


def test_the_reference_numbers_are_there():
    assert {'r50_coco', 'convnext_t_coco'} <= {split(stem)[0] for stem in files('eval')}
    sizes = {tuple(split(stem)[1]['size']) for stem in files('eval')}
    assert any(h % 2 for h, _ in sizes) and any(h % 2 == 0 for h, _ in sizes) and any(h != w for h, w in sizes)
    assert files('train') and files('post')


@pytest.mark.parametrize('stem', files('eval'))
def test_outputs(stem, models):
    name, reference = split(stem)
    model = models(name)
    image = normalised(weights.image(int(reference['seed']), *reference['size']))
    sizes, original = [], type(model.head.decoder.layers[0].predictor).assign

    def record(self, pixels, queries):
        assignment = original(self, pixels, queries)
        sizes.append(torch.bincount(assignment[0], minlength=queries.shape[2]).numpy())
        return assignment

    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model.head.decoder.layers[0].predictor), 'assign', record)
        outputs = model(image, mode='tensor')
    # Where a pixel goes to another cluster everything after it moves, so the clusters come first.
    for layer, size in enumerate(sizes):
        np.testing.assert_array_equal(size, reference[f'cluster_sizes{layer}'], f'clusters of layer {layer}')
    assert (reference['final_sizes'] > 0).sum() > 20, 'few queries win pixels: the comparison would prove little'
    for ours, key in (('class_logits', 'class_logits'), ('mask_logits', 'mask_logits'),
                      ('pixel_features', 'pixel_feature')):
        assert list(outputs[ours].shape) == list(reference[f'shape_{key}'])
        error = relative_error(weights.subset(outputs[ours].numpy(), 4096), reference[key])
        assert error <= TOLERANCE, f'{key}: relative error {error:.1e}'


def test_the_training_path_gives_the_outputs_of_the_inference_path(models):
    """Folded norms, summing before mapping and the short cuts of the assignment change nothing."""
    model = models('r50_coco')
    image = normalised(weights.image(3, 129, 129))
    with torch.no_grad():
        folded = model(image, mode='tensor')
    plain = model(image, mode='tensor')
    for key, value in folded.items():
        assert relative_error(value.numpy(), plain[key].detach().numpy()) <= 2e-5, key


@pytest.mark.parametrize('stem', files('train'))
def test_losses_and_gradients(stem, monkeypatch):
    name, reference = split(stem)
    sample_size = int(reference['sample_k']) if 'sample_k' in reference else 4096
    model = build(name, sample_size=sample_size,
                  semantic_sample_size=0 if 'cityscapes' in name else sample_size)
    # With channels last in memory torch sums batch statistics in plain float32, which alone moves outputs by 1e-4.
    load(model, name).to(memory_format=torch.contiguous_format).train()
    seed, size, num_classes = int(reference['seed']), reference['size'], model.num_classes
    samples = [weights.training_sample(seed, *size, num_classes),
               weights.training_sample(seed + 100, *size, num_classes, real_rows=int(reference['real_rows']))]
    images = torch.cat([normalised(s['image']) * torch.from_numpy(s['real']) for s in samples])
    labels = [torch.from_numpy(s['labels']) for s in samples]
    segments = torch.from_numpy(np.stack([s['index'] for s in samples]))

    draws = [f'pixel_insdis{suffix}' for suffix in ('', *(f'_{i}' for i in range(6)))]
    if 'cityscapes' not in name:
        draws.insert(1, 'aux_semantic')
    stream = iter([(draw, image) for draw in draws for image in range(2)])

    def noise(like):
        draw, image = next(stream)
        return torch.from_numpy(weights.noise(draw, (2, like.numel())))[image]

    monkeypatch.setattr(sampling, 'uniform_noise', noise)
    features = model.backbone(images)
    losses = model.head.loss(features, labels, segments)
    assert next(stream, None) is None, 'fewer random draws than the official code makes'

    terms = {'loss_ce': 'loss_class', 'loss_mask': 'loss_mask', 'loss_dice': 'loss_dice',
             'loss_pixel_insdis': 'loss_discrimination', 'loss_aux_semantic': 'loss_semantic'}
    expected = dict(zip(reference['loss_names'].tolist(), reference['float64_weighted'].tolist()))
    assert len(losses) == len(expected)
    for official, value in expected.items():
        base, layer = re.fullmatch(r'([a-z_]+?)(?:_(\d+))?', official).groups()
        ours = losses[terms[base] if layer is None else f'd{layer}.{terms[base]}'].item()
        assert abs(ours - value) <= TOLERANCE * abs(value), f'{official}: {ours} for {value}'

    sum(losses.values()).backward()
    parameters = dict(model.named_parameters())
    for i, official in enumerate(reference['grad_names'].tolist()):
        gradient = parameters[ours_key(official)].grad
        norm = float(reference['float64_grad_norm'][i])
        # The official code itself moves by `noise` between float32 and float64; deep gradients more than the outputs.
        allowed = max(5 * TOLERANCE, 4 * float(reference[f'noise_grad_{i}'].max()))
        assert abs(gradient.double().norm().item() - norm) <= allowed * norm, official
        error = relative_error(weights.subset(gradient.numpy(), 64), reference[f'grad_{i}'])
        assert error <= 2 * allowed, f'{official}: relative error {error:.1e}, allowed {2 * allowed:.1e}'


@pytest.mark.parametrize('stem', files('predict'))
def test_the_whole_inference(stem, models):
    name, reference = split(stem)
    model = models(name)
    size, real, original = (tuple(int(n) for n in reference[key]) for key in ('size', 'input_size', 'original'))
    image = normalised(weights.image(int(reference['seed']), *real))
    padded = torch.nn.functional.pad(image, (0, size[1] - real[1], 0, size[0] - real[0]))
    # Of an untrained network: the official code was run with thresholds that let it say something.
    kept = model.head.pixel_threshold, dict(model.head.panoptic_rule)
    model.head.pixel_threshold = float(reference['pixel_threshold'])
    model.head.panoptic_rule.update({f'{key}_threshold': float(reference[f'{key}_threshold'])
                                     for key in ('thing', 'stuff', 'overlap')})
    try:
        with torch.no_grad():
            prediction = Prediction(**model(padded, mode='tensor'))
            result = model.head.predict(prediction, 0, size, real, original, ('panoptic', 'instance', 'semantic'))
    finally:
        model.head.pixel_threshold, model.head.panoptic_rule = kept
    compare(result, reference, pixels=3)


@pytest.mark.parametrize('stem', files('post'))
def test_post_processing(stem):
    name, reference = split(stem)
    with torch.device('meta'):
        model = build(name)
    size, original = (tuple(int(side) for side in reference[key]) for key in ('size', 'original'))
    num_queries = model.head.decoder.num_queries
    class_logits, mask_logits = weights.prediction(int(reference['seed']), num_queries, model.num_classes,
                                                   *((side + 3) // 4 for side in size))
    prediction = Prediction(torch.from_numpy(class_logits)[None], torch.from_numpy(mask_logits)[None], None)
    scale = max(size) / max(original)
    real = tuple(min(limit, round(side * scale)) for limit, side in zip(size, original))
    result = model.head.predict(prediction, 0, size, real, original, ('panoptic', 'instance', 'semantic'))
    compare(result, reference)


def compare(result, reference, pixels: int = 0) -> None:
    """Pixel for pixel, segment for segment; instances in the order of their scores.

    Logits of the whole network differ in the last bits, which decide pixels where two queries or a query and the threshold are
    equal: `pixels` of them may fall to the other side.
    """
    for key in ('panoptic', 'semantic'):
        wrong = int((result[key].numpy() != reference[key]).sum())
        assert wrong <= pixels, f'{wrong} pixels of the {key} result differ'
    assert [s['id'] for s in result['segments_info']] == reference['segment_ids'].tolist()
    assert [s['label'] for s in result['segments_info']] == reference['segment_labels'].tolist()
    assert [s['is_thing'] for s in result['segments_info']] == reference['segment_isthing'].tolist()

    found = {key: value.numpy() for key, value in result['instances'].items()}
    order = np.lexsort((found['labels'], -found['scores'].astype(np.float64)))
    np.testing.assert_array_equal(found['labels'][order], reference['instance_labels'])
    areas = found['masks'].sum((1, 2))[order]
    assert np.abs(areas - reference['instance_areas']).sum() <= pixels
    # A mask of a few pixels changes its mean probability with one of them.
    same = areas == reference['instance_areas']
    assert relative_error(found['scores'][order][same], reference['instance_scores'][same]) <= TOLERANCE


@pytest.mark.parametrize('name', sorted(official_keys()))
def test_every_official_key_is_converted_and_comes_back_bit_for_bit(name):
    state = {key: torch.rand(shape) if shape else torch.tensor(7) for key, shape in official_keys()[name].items()}
    back = revert({'state_dict': convert({'model': state})})
    assert list(back) == list(state)
    assert all(torch.equal(back[key], value) and back[key].shape == value.shape for key, value in state.items())


@pytest.mark.parametrize('name', sorted(official_keys()))
def test_our_models_have_the_official_parameters(name):
    with torch.device('meta'):
        model = build(name)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    converted = convert({key: torch.empty(shape) for key, shape in official_keys()[name].items()})
    assert shapes == {key: tuple(value.shape) for key, value in converted.items()}


def test_parameter_counts():
    # With the auxiliary head that only training needs, as the official code counts.
    counts = {'r50_coco': (72_436_862, 1417), 'convnext_t_coco': (67_265_502, 1283), 'r50_cityscapes': (56_975_757, 1377)}
    for name, (parameters, keys) in counts.items():
        with torch.device('meta'):
            model = build(name)
        assert sum(p.numel() for p in model.parameters()) == parameters
        assert len(model.state_dict()) == keys


def test_a_foreign_key_is_named():
    state = official_state('r50_coco')
    state['sem_seg_head.predictor._unknown.weight'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'1 of 1418 keys.*_unknown'):
        convert(state)
