"""Models of the parity tests: our configs, shrunk in input size only, with weights generated from the official names."""
import gzip
import json
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

import mmxf  # noqa: F401
from mmxf.config import load_config
from mmxf.models.kmax.convert import convert
from mmxf.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
PARITY = ROOT / 'tests' / 'parity' / 'kmax'
sys.path.insert(0, str(ROOT / 'tests' / 'parity'))
import weights  # noqa: E402

CONFIGS = {
    'r50_coco': 'kmax_r50_coco', 'convnext_t_coco': 'kmax_convnext_t_coco', 'convnext_s_coco': 'kmax_convnext_s_coco',
    'convnext_b_coco': 'kmax_convnext_b_coco', 'convnext_l_coco': 'kmax_convnext_l_coco',
    'r50_cityscapes': 'kmax_r50_cityscapes', 'convnext_l_cityscapes': 'kmax_convnext_l_cityscapes',
    'r50_ade20k': 'kmax_r50_ade20k', 'convnext_l_ade20k': 'kmax_convnext_l_ade20k',
}


@lru_cache
def official_keys() -> dict[str, dict[str, list[int]]]:
    """For each official model: every key of its state dict, with its shape."""
    with gzip.open(PARITY / 'keys.json.gz') as file:
        return json.load(file)


def build(name: str, **loss):
    """One of our models as its config says, without pretrained weights and without dropout."""
    cfg = load_config(ROOT / 'configs' / 'kmax' / f'{CONFIGS[name]}.py')
    cfg.model.backbone.pop('init_cfg')
    cfg.model.head.decoder.drop_path = 0.0
    if 'drop_path_rate' in cfg.model.backbone:
        cfg.model.backbone.drop_path_rate = 0.0
    if cfg.model.head.auxiliary.type == 'KMaXSemanticDecoder':
        cfg.model.head.auxiliary.dropout = 0.0
    cfg.model.head.loss.update(loss)
    cfg.model.outputs = ('panoptic', 'instance', 'semantic')
    return MODELS.build(cfg.model)


def official_state(name: str) -> dict[str, torch.Tensor]:
    """Generated weights under the official names."""
    return {key: torch.from_numpy(weights.generate(key, tuple(shape))) for key, shape in official_keys()[name].items()}


def load(model, name: str):
    """Generated official weights, converted, in evaluation mode."""
    model.load_state_dict(convert(official_state(name)))
    model.eval()
    return model


def normalised(image: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 RGB to (1, 3, H, W)."""
    return (torch.from_numpy(image).permute(2, 0, 1)[None].float() - 127.5) / 127.5


def relative_error(ours, reference) -> float:
    """Largest difference as a part of the largest value."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    return float(np.abs(ours - reference).max() / np.abs(reference).max())
