"""Models and inputs of the OmniFusion tests, with weights generated from the official names."""
import gzip
import json
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

import mmxf  # noqa: F401
from mmxf.models.omnifusion.convert import convert
from mmxf.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
PARITY = ROOT / 'tests' / 'parity' / 'omnifusion'
sys.path.insert(0, str(ROOT / 'tests' / 'parity'))
import weights  # noqa: E402


def official_weights(name: str, shape) -> np.ndarray:
    """`weights.generate`, with gains that keep 34 layers of residual branches calm and depths between 0 and 10 m."""
    shape = tuple(shape)
    values = weights.generate(name, shape)
    if name.startswith('layer') and name.endswith('bn2.weight'):
        values = values * np.float32(0.3)
    elif name.endswith('pos_emb'):
        values = values * np.float32(10)
    elif name == 'pred.bias':
        values = values + np.float32(2.5)
    elif name == 'weight_pred.weight':
        values = values * np.float32(3)
    return values


@lru_cache
def official_keys() -> dict[str, dict[str, list[int]]]:
    """For each official model: every key of its state dict, with its shape."""
    with gzip.open(PARITY / 'keys.json.gz') as file:
        return json.load(file)


def official_state(name: str) -> dict[str, torch.Tensor]:
    """Generated weights under the official names."""
    return {key: torch.from_numpy(official_weights(key, shape)) for key, shape in official_keys()[name].items()}


def panorama(name: str, height: int = 128, width: int = 256, batch: int = 1) -> torch.Tensor:
    """(B, 3, H, W) in 0 to 1."""
    images = [weights.image(sum(name.encode()) + i, height, width) for i in range(batch)]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def estimator(rows: int = 4, iterations: int = 1, confidence: bool = True, geometry: str | None = None, transformer: bool = True,
              **kwargs):
    """A DepthEstimator as the official code's; keywords go to the network."""
    network = dict(type='mmxf.OmniFusion', encoder=dict(type='mmxf.DepthResNet', depth=34),
                   decoder=dict(type='mmxf.DepthDecoder'),
                   transformer=dict(type='mmxf.PatchTransformer') if transformer else None, rows=rows, iterations=iterations,
                   confidence=confidence, geometry=geometry or ('points' if iterations > 1 else 'centre'), **kwargs)
    return MODELS.build(dict(type='mmxf.DepthEstimator', backbone=network, losses=dict(depth=dict(
        type='mmxf.BerHuLoss', threshold_inside=False))))


def load(model, name: str):
    """Generated official weights, converted, in evaluation mode."""
    model.load_state_dict(convert(official_state(name)))
    return model.eval()
