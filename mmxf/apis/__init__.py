"""Models from configs and checkpoints, and inference with them.

model = init_model('configs/kmax/kmax_r50_coco.py', 'kmax_r50_coco.pth', device='cuda')
sample = inference(model, 'photo.jpg')
sample.pred_panoptic_seg.sem_seg        # (1, H, W): label + instance id * 1000
"""

from .checkpoint import CheckpointError, load_checkpoint, load_weights
from .inference import ImageError, inference
from .init_model import build_model, dataset_meta, init_model, open_config

__all__ = [
    'CheckpointError',
    'ImageError',
    'build_model',
    'dataset_meta',
    'inference',
    'init_model',
    'load_checkpoint',
    'load_weights',
    'open_config',
]
