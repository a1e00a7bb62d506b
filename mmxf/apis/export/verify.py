"""An exported file against the model it came from, on real inputs, in a process that never imports mmxf."""
from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmxf.config import UserError

from .program import ImageProgram, Program
from .write import STEP

# Axis over which an output's largest entry decides something.
DECIDES = {'class_probs': -1, 'probs': -1, 'mask_logits': 1, 'class_logits': 1}
# Of the norm. Float32 leaves about 1e-6; kMaX assigns pixels to clusters, and a pixel that ties goes to another one.
TOLERANCE = 1e-3


@dataclass
class Comparison:
    """One output over all inputs.

    Args:
        name: of the output.
        largest: absolute difference.
        relative: norm of the difference / norm of the model's output.
        agreement: share of equal decisions (largest entry), None where there are none.
        norm: of the model's output.
    """

    name: str
    largest: float
    relative: float
    agreement: float | None
    norm: float

    def passed(self, tolerance: float = TOLERANCE) -> bool:
        return self.relative <= tolerance


def real_batches(model, images: Sequence | None, number: int) -> tuple[list[dict], str]:
    """Batches of one sample that have passed pipeline and data preprocessor, and where they come from.

    Args:
        model: with ``cfg``.
        images: files, or None for the first of the config's test or validation set.
        number: how many.

    Returns:
        the batches, empty where no data is at hand, and a sentence.
    """
    from mmxf.apis.datasets import build_dataset
    from mmxf.apis.inference import prepare, test_pipeline

    def batch(sample: dict) -> dict:
        return model.data_preprocessor(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]), False)

    if images:
        if hasattr(model, 'skeleton'):
            return [_poses(model, path) for path in images[:number]], f'{min(number, len(images))} given files'
        pipeline = test_pipeline(model.cfg)
        found = [batch(prepare(pipeline, path, i)) for i, path in enumerate(images[:number])]
        return found, f'{len(found)} given images'
    reason = 'the config has no test set'
    for split in ('test', 'val'):
        if model.cfg.get(f'{split}_dataloader'):
            try:
                dataset = build_dataset(model.cfg, split)
                count = min(number, len(dataset))
                return [batch(dataset[i * len(dataset) // count]) for i in range(count)], f'{count} samples of the {split} set'
            except (OSError, ValueError) as error:
                reason = str(error).splitlines()[0]
    return [], reason


def _poses(model, path) -> dict:
    from mmxf.apis.lifting import read_keypoints
    from mmxf.structures.cameras import normalise_screen

    sequence = read_keypoints(path, model.skeleton.joints)
    points = [torch.from_numpy(normalise_screen(sequence.people[person][part], sequence.width, sequence.height)
                               .astype(np.float32)) for person, part in sequence.stretches()]
    return dict(inputs=points, data_samples=None)


def made_up(program: Program, shape: Sequence[int], seed: int) -> tuple[Tensor, ...]:
    """Inputs without data: a smooth image, or joints that drift."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(program, ImageProgram):
        coarse = torch.rand(1, 3, 8, 8, generator=generator) * 255
        return (F.interpolate(coarse, size=tuple(shape), mode='bicubic').clamp(0, 255).contiguous(),)
    model = program.model
    steps = torch.randn(1, model.num_frames, len(model.skeleton), 2, generator=generator)
    return ((0.01 * steps).cumsum(1) + 0.3 * torch.randn(1, 1, len(model.skeleton), 2, generator=generator),)


def at_size(batch: dict, shape: Sequence[int]) -> dict:
    """An image batch resized to (H, W), where it has another size."""
    if tuple(batch['inputs'].shape[-2:]) == tuple(shape):
        return batch
    return dict(inputs=F.interpolate(batch['inputs'], size=tuple(shape), mode='bilinear'), data_samples=None)


def other_size(shape: Sequence[int]) -> tuple[int, int]:
    """Another size that a file of dynamic size must serve: one step higher, and narrower where that is possible."""
    height, width = shape
    return height + STEP, max(width - STEP, 2 * STEP + width % STEP)


def compare(program: Program, path: Path, groups: Sequence[Sequence[dict]]) -> list[tuple[list[Comparison], float, float]]:
    """Runs the model and, in a process of its own, the file on the same batches.

    Args:
        program: what was exported.
        path: the file.
        groups: of batches; those of a group are compared together.

    Returns:
        for each group a comparison an output, and milliseconds of the model and of the file (medians, over its batches).

    Raises:
        UserError: when the file does not run.
    """
    arguments = [[program.arguments(batch) for batch in batches] for batches in groups]
    results = []
    for batches, (got, file_ms) in zip(groups, _by_file(program, path, arguments)):
        expected, model_ms = _by_model(program, batches)
        got = [program.align(*pair) for pair in zip(got, expected)]
        rows = [_compare(name, [run[i] for run in got], [run[i] for run in expected]) for i, name in enumerate(program.outputs)]
        results.append((rows, model_ms, file_ms))
    return results


def _by_model(program: Program, batches: Sequence[dict]) -> tuple[list[tuple[Tensor, ...]], float]:
    """The model's outputs for each batch, and the median of the milliseconds."""
    expected, seconds = [], []
    with torch.no_grad():
        program.expected(batches[0])
        for batch in batches:
            start = time.perf_counter()
            expected.append(program.expected(batch))
            seconds.append(time.perf_counter() - start)
    return expected, 1e3 * float(np.median(seconds))


def _by_file(program: Program, path: Path, groups: Sequence[Sequence[tuple[Tensor, ...]]]) -> list[tuple[list, float]]:
    """For each group the file's outputs (a list for each batch), and the median of the milliseconds."""
    # The first of a group runs twice, so that its time is not that of a start.
    runs = [run for group in groups for run in (group[0], *group)]
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / 'in.npz', Path(folder) / 'out.npz'
        np.savez(source, **{f'{n}/{i}': value.numpy() for n, run in enumerate(runs) for i, value in enumerate(run)})
        script = Path(__file__).with_name('run_file.py')
        done = subprocess.run([sys.executable, '-I', str(script), str(path), str(source), str(target)], capture_output=True,
                              text=True)
        if done.returncode:
            raise UserError(f'{path} was written but does not run:\n{done.stderr.strip()[-1500:]}')
        with np.load(target) as found:
            outputs = [[torch.from_numpy(found[f'{n}/{i}']) for i in range(len(program.outputs))] for n in range(len(runs))]
            seconds = found['seconds']
    results, start = [], 0
    for group in groups:
        own = slice(start + 1, start + 1 + len(group))
        results.append((outputs[own], 1e3 * float(np.median(seconds[own]))))
        start += 1 + len(group)
    return results


def _compare(name: str, got: Sequence[Tensor], wanted: Sequence[Tensor]) -> Comparison:
    for a, b in zip(got, wanted):
        if a.shape != b.shape:
            raise UserError(f'the file gives {name} of shape {tuple(a.shape)}, the model {tuple(b.shape)}')
    difference = [(a - b).double() for a, b in zip(got, wanted)]
    norm = sum(float(b.double().square().sum()) for b in wanted) ** 0.5
    largest = max(float(d.abs().max()) for d in difference)
    agreement = None
    if name in DECIDES:
        equal = [(a.argmax(DECIDES[name]) == b.argmax(DECIDES[name])).float().mean() for a, b in zip(got, wanted)]
        agreement = float(torch.stack(equal).mean())
    relative = sum(float(d.square().sum()) for d in difference) ** 0.5 / max(norm, 1e-12)
    # NaN compares as false everywhere and must not pass.
    return Comparison(name, largest, relative if relative == relative else float('inf'), agreement, norm)
