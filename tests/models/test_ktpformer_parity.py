"""KTPFormer against numbers of the official code (tests/parity/ktpformer/README.md says how they were made)."""
import numpy as np
import pytest
import torch
from ktpformer_cases import PARITY, lifter, load, official_keys, official_state, points, relative_error, weights

from mmxf.datasets.pose_metainfo import H36M_METAINFO
from mmxf.evaluation import pose_errors as errors
from mmxf.models.ktpformer import diffusion
from mmxf.models.ktpformer.convert import convert, revert
from mmxf.models.ktpformer.loss import PoseLiftingLoss
from mmxf.structures.skeleton import Skeleton

TOLERANCE = 1e-4


def reference(name: str):
    return np.load(PARITY / f'{name}.npz')


@pytest.mark.parametrize('frames, batch', [(27, 2), (81, 1), (243, 1)])
def test_outputs(frames, batch):
    numbers = reference(f'lift_f{frames}')
    model = load(lifter(frames), f'f{frames}')
    x = torch.from_numpy(points(f'x{frames}', batch, frames, 17, 2))
    with torch.no_grad():
        fast = model(x)
    plain = model(x).detach()       # the path that training takes
    assert list(fast.shape) == numbers['shape'].tolist()
    for ours in (fast, plain):
        ours = weights.subset(ours.numpy(), 2000)
        assert relative_error(ours, numbers['output']) <= TOLERANCE
        # The part that changes from frame to frame is smaller than the mean pose: it must agree by itself.
        assert np.abs(ours - numbers['output']).max() <= 5e-3 * numbers['output'].std()


@pytest.mark.parametrize('frames, batch', [(27, 2), (243, 1)])
def test_losses_gradients_and_one_step(frames, batch):
    numbers = reference(f'lift_f{frames}')
    model = load(lifter(frames), f'f{frames}').train()
    x = torch.from_numpy(points(f'x{frames}', batch, frames, 17, 2))
    target = torch.from_numpy(points(f't{frames}', batch, frames, 17, 3))
    target[:, :, 0] = 0
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-5, weight_decay=0.1)
    criterion = PoseLiftingLoss(H36M_METAINFO, gradient_by_loss=True)
    losses = criterion(model.backbone(x), target)
    np.testing.assert_allclose([loss.item() for loss in losses.values()], numbers['losses'], rtol=TOLERANCE)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    sum(losses.values()).backward()
    names = numbers['names'].tolist()
    parameters = dict(model.named_parameters())
    ours = {name: next(iter(convert({name: torch.zeros(1), _mark(name): torch.zeros(1)}))) for name in names}
    norms = np.array([parameters[ours[name]].grad.norm().item() for name in names])
    # Gradients of biases before a batch norm and of keys are rounding noise around zero.
    allowed = 5 * TOLERANCE * numbers['grad_norms'] + 1e-6 * numbers['grad_norms'].max()
    assert (np.abs(norms - numbers['grad_norms']) <= allowed).all()
    checked = [key for key in numbers.files if key.startswith('grad/')]
    assert len(checked) > 30
    largest = numbers['grad_norms'].max()
    # Rounding decides on which side of 0 an entry of a ReLU lies. With the torch of the reference numbers none of 6 million takes
    # the other one; with torch 2.4 three do, which moves gradients of the layer by 1e-3. In float64 both agree to 5e-6.
    tolerance = 1e-3 if torch.__version__.startswith('2.13.') else 1e-2
    for key in checked:
        gradient = weights.subset(parameters[ours[key[5:]]].grad.numpy(), 64)
        limit = tolerance * np.abs(numbers[key]).max() + 1e-7 * largest
        assert np.abs(gradient - numbers[key]).max() <= limit, key
    optimizer.step()
    steps = np.array([(parameters[ours[n]].detach() - before[ours[n]]).double().norm().item() for n in names])
    # AdamW's first step is the sign of the gradient, which noise decides where the gradient is nothing else: a bias of keys,
    # which softmax cancels, and one before a batch norm. Of these only the length is known: the learning rate an entry at most.
    noisy = np.array([name.endswith(('qkv.bias', 'gconv.bias')) for name in names])
    np.testing.assert_allclose(steps[~noisy], numbers['steps'][~noisy], rtol=2e-3)
    sizes = np.array([parameters[ours[n]].numel() for n in names])
    assert (steps[noisy] <= 8e-5 * np.sqrt(sizes[noisy]) * 1.1).all()
    state = revert(model.state_dict())
    for key in numbers.files:
        if key.startswith('buffer/'):
            assert relative_error(weights.subset(state[key[7:]].numpy(), 64), numbers[key]) <= TOLERANCE, key
    model.eval()
    with torch.no_grad():
        assert relative_error(weights.subset(model(x).numpy(), 1024), numbers['after']) <= 2e-3


def _mark(name: str) -> str:
    """A second key, so that the converter knows which model it has before it."""
    return 'kpattention.norm2.weight' if name != 'kpattention.norm2.weight' else 'kpattention.norm2.bias'


@pytest.mark.parametrize('case', [0, 1, 2])
def test_metrics_equal_the_official_functions(case):
    numbers = reference('functions')
    frames, spread = ((200, 0.05), (77, 0.4), (1, 0.1))[case]
    target = points(f'metric_t{case}', 1, frames, 17, 3)[0].astype(np.float64)
    predicted = target + spread * points(f'metric_p{case}', 1, frames, 17, 3)[0]
    if case == 1:       # mirrored poses, which no rotation can align
        predicted[::3] *= [-1, 1, 1]
    joints = errors.joint_errors(predicted, target)
    ours = [joints.mean(), errors.joint_errors(errors.procrustes(predicted, target), target).mean(),
            errors.joint_errors(errors.rescale(predicted, target), target).mean()]
    expected = numbers[f'values{case}']
    np.testing.assert_allclose(ours, expected[:3], rtol=0, atol=1e-9)
    if frames > 1:
        assert errors.velocity_errors(predicted, target).mean() == pytest.approx(expected[3], abs=1e-9)
    assert [errors.pck(joints), errors.auc(joints)] == pytest.approx(numbers[f'pck{case}'].tolist(), abs=1e-6)
    single = errors.procrustes(predicted.astype(np.float32), target.astype(np.float32))
    assert errors.joint_errors(single, target).mean() == pytest.approx(expected[1], abs=1e-6)


def test_cameras_equal_the_official_functions():
    from mmxf.datasets.human36m_cameras import human36m_cameras
    from mmxf.structures.cameras import camera_to_world, normalise_screen, project, world_to_camera

    numbers, cameras = reference('functions'), human36m_cameras()
    world = points('world', 1, 50, 17, 3)[0]
    for subject in ('S1', 'S5', 'S9', 'S11'):
        for i, camera in enumerate(cameras[subject]):
            seen = world_to_camera(world, camera.orientation, camera.translation)
            np.testing.assert_allclose(seen[::7], numbers[f'camera/{subject}/{i}'], rtol=0, atol=2e-6)
            back = camera_to_world(seen, camera.orientation, camera.translation)
            np.testing.assert_allclose(back[::7], numbers[f'back/{subject}/{i}'], rtol=0, atol=2e-6)
            for kind in (lambda a: a, torch.from_numpy):       # arrays and tensors
                image = np.asarray(project(kind(seen.astype(np.float32)), kind(camera.intrinsics)))[::7]
                np.testing.assert_allclose(image, numbers[f'image/{subject}/{i}'], rtol=0, atol=3e-6)
    pixels = points('pixels', 1, 5, 17, 2)[0] * 500 + 500
    np.testing.assert_allclose(normalise_screen(pixels, 1000, 1002), numbers['normalised'], atol=1e-6)


def test_the_denoiser_and_its_sampler(monkeypatch):
    numbers = reference('d3dp_f27')
    model = load(lifter(27, priors=False, diffusion=True), 'd3dp_f27')
    network = model.backbone
    network.num_hypotheses, network.sampling_steps = 2, 3
    x = torch.from_numpy(points('d3dp_x', 2, 27, 17, 2))
    target, noise = (torch.from_numpy(points(f'd3dp_{name}', 2, 27, 17, 3)) for name in 'tn')
    step = torch.tensor([17, 800])
    noisy = network.add_noise(target, step, noise)
    assert relative_error(weights.subset(noisy.numpy(), 1024), numbers['noisy']) <= 1e-5
    with torch.no_grad():
        denoised = network.denoiser(x, noisy, step)
    assert relative_error(weights.subset(denoised.numpy(), 2048), numbers['denoised']) <= TOLERANCE
    count = [0]

    def draw(shape, **kwargs):
        count[0] += 1
        return torch.from_numpy(points(f'd3dp_noise{count[0]}', 2, 2, 27, 17, 3) * 2).view(shape)

    monkeypatch.setattr(diffusion.torch, 'randn', draw)
    order = Skeleton.from_metainfo(H36M_METAINFO).mirror_order()
    mirrored = x[:, :, order] * torch.tensor([-1., 1.])
    with torch.no_grad():
        sample = network.sample(x, mirrored, order)
    assert count[0] == 3
    assert relative_error(weights.subset(sample.numpy(), 4096), numbers['sample']) <= TOLERANCE


def test_hypotheses_are_scored_and_aggregated_as_officially():
    from mmxf.evaluation.metrics import PoseLiftingMetric

    numbers = reference('d3dp_f27')['jpma']
    hypotheses = points('jpma_h', 3, 27, 4 * 17 * 3, 1).reshape(3, 27, 4, 17, 3).transpose(0, 2, 1, 3, 4)   # (W, H, F, K, 3)
    target, seen = points('jpma_t', 3, 27, 17, 3), points('jpma_r', 3, 27, 17, 2)
    # A camera for which x and y of the hypotheses are what is seen of them: z is 1 after adding the root.
    chosen = np.linalg.norm(0.3 * hypotheses[..., :2], axis=-1).argmin(1)
    aggregated = np.take_along_axis(hypotheses, chosen[:, None, :, :, None], 1)[:, 0]
    metric = PoseLiftingMetric(measures=('J-Best', 'P-Agg', 'J-Agg', 'P-Best'), group='video')
    metric.dataset_meta = {}
    metric.process({}, [dict(subject='S', action='A', camera=0, sample_idx=0, pred_windows=aggregated, pred_hypotheses=hypotheses,
                             gt_keypoints_3d=target.reshape(-1, 17, 3), window_frames=np.arange(81).reshape(3, 27))])
    assert seen.shape == (3, 27, 17, 2)
    found = metric.compute_metrics(metric.results)
    expected = 1000 * np.array([*numbers[:3], numbers[3:].mean()])
    np.testing.assert_allclose([found[m] for m in ('J-Best', 'P-Agg', 'J-Agg', 'P-Best')], expected, rtol=1e-5)


@pytest.mark.parametrize('name', sorted(official_keys()))
def test_every_official_key_is_converted_and_comes_back_bit_for_bit(name):
    state = official_state(name)
    back = revert({'state_dict': convert({'model_pos': {f'module.{k}': v for k, v in state.items()}, 'epoch': 3})})
    assert list(back) == list(state)
    assert all(torch.equal(back[key], value) and back[key].dtype == value.dtype for key, value in state.items())


def test_parameter_counts():
    for frames, parameters in ((27, 34_765_014), (243, 35_213_430)):
        with torch.device('meta'):
            model = lifter(frames)
        assert sum(p.numel() for p in model.parameters()) == parameters


def test_a_foreign_key_and_schedule_are_named():
    state = official_state('f27')
    state['kpattention.unknown'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'1 of \d+ keys.*kpattention.unknown'):
        convert(state)
    with pytest.raises(ValueError, match='another diffusion schedule.*betas'):
        convert({**official_state('d3dp_f27'), 'betas': torch.full((1000,), 0.1)})
