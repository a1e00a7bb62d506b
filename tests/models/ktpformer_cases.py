"""Models and inputs of the KTPFormer tests, with weights generated from the official names."""
import gzip
import json
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

import mmxf  # noqa: F401
from mmxf.datasets.pose_metainfo import H36M_METAINFO
from mmxf.models.ktpformer.convert import convert
from mmxf.models.ktpformer.schedule import cosine_schedule
from mmxf.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
PARITY = ROOT / 'tests' / 'parity' / 'ktpformer'
sys.path.insert(0, str(ROOT / 'tests' / 'parity'))
import weights  # noqa: E402


def official_weights(name: str, shape) -> np.ndarray:
    """`weights.generate`, with gains for the parameters of graph convolutions, whose shapes it does not know."""
    values = weights.generate(name, tuple(shape))
    if name.endswith('gconv.W'):
        values = values * np.float32(np.sqrt(shape[-1]))
    elif name.endswith('gconv.M'):
        values = 1 + values
    elif name.endswith('gconv.adj2'):
        values = values * np.float32(0.1)
    elif name.endswith('pos_embed'):
        values = values * np.float32(10)
    return values


def points(name: str, *shape: int) -> np.ndarray:
    """Made-up input or target of this shape, in -1 to 1, smooth over frames (axis 1)."""
    rough = weights.noise(f'{name}', shape) * 2 - 1
    return ((rough + np.roll(rough, 1, 1) + np.roll(rough, 2, 1)) / 3).astype(np.float32)


@lru_cache
def official_keys() -> dict[str, dict[str, list[int]]]:
    """For each official model: every key of its state dict, with its shape."""
    with gzip.open(PARITY / 'keys.json.gz') as file:
        return json.load(file)


def official_state(name: str) -> dict[str, torch.Tensor]:
    """Generated weights under the official names; a diffusion schedule as it must be."""
    schedule = cosine_schedule(1000)
    return {key: schedule[key] if key in schedule else torch.from_numpy(official_weights(key, shape))
            for key, shape in official_keys()[name].items()}


def lifter(num_frames: int, skeleton: dict = H36M_METAINFO, priors: bool = True, diffusion: bool = False, **kwargs):
    """A PoseLifter; keywords go to the network."""
    network = dict(type='mmxf.PoseDenoiser' if diffusion else 'mmxf.KTPFormer', skeleton=skeleton, num_frames=num_frames,
                   drop_path=0.0,
                   spatial_prior=dict(type='mmxf.KinematicsPrior' if priors else 'mmxf.LinearEmbedding'),
                   temporal_prior=dict(type='mmxf.TrajectoryPrior') if priors else None, **kwargs)
    if priors is False:
        network['spatial_prior'] = None
    if diffusion:
        network = dict(type='mmxf.PoseDiffusion', denoiser=network)
    return MODELS.build(dict(type='mmxf.PoseLifter', skeleton=skeleton, backbone=network,
                             loss=dict(type='mmxf.PoseLiftingLoss', skeleton=skeleton)))


def load(model, name: str):
    """Generated official weights, converted, in evaluation mode."""
    model.load_state_dict(convert(official_state(name)))
    return model.eval()


def relative_error(ours, reference) -> float:
    """Largest difference as a part of the largest value."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    return float(np.abs(ours - reference).max() / np.abs(reference).max())
