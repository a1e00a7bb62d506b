"""Registered classes for the config tests; importing this module registers them in mmxf's registries."""
import torch
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import nn

from mmxf.registry import DATASETS, METRICS, MODELS, TRANSFORMS


@MODELS.register_module()
class ToyBlock(nn.Module):
    def __init__(self, channels: int, *, kernel_size: int = 1) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, channels, kernel_size, padding=kernel_size // 2)


@MODELS.register_module()
class ToyHead(nn.Module):
    """Swallows further keywords silently, as some heads of mmdet do."""

    def __init__(self, num_queries: int, num_classes: int, block: dict, **kwargs) -> None:
        super().__init__()
        self.block = MODELS.build(block)
        self.weight = nn.Parameter(torch.zeros(num_queries, num_classes))


@MODELS.register_module()
class ToyWhole(BaseModel):
    def __init__(self, head: dict, **kwargs) -> None:
        super().__init__(**kwargs)
        self.head = MODELS.build(head)

    def forward(self, inputs, data_samples=None, mode: str = 'tensor', sample_idx=None):
        if mode == 'loss':
            # Every parameter takes part, as DistributedDataParallel wants it.
            return {'loss': (self.head.weight - 1).square().mean(), 'loss_block': self.head.block.layer.weight.sum() * 0
                    + self.head.block.layer.bias.sum() * 0}
        return [{'mean': float(self.head.weight.mean())} for _ in inputs]


@DATASETS.register_module()
class ToyDataset(BaseDataset):
    METAINFO = {'classes': ('cat', 'dog', 'sky')}

    def __init__(self, size: int = 4, **kwargs) -> None:
        self.size = size
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        if self.ann_file and not self.ann_file.endswith('fine.json'):
            open(self.ann_file).close()
        return [{'inputs': torch.zeros(1), 'data_samples': i} for i in range(self.size)]


@TRANSFORMS.register_module()
class ToyTransform:
    def __init__(self, size: tuple, prob: float = 0.5) -> None:
        self.size, self.prob = size, prob

    def __call__(self, results: dict) -> dict:
        return results


@METRICS.register_module()
class ToyMean(BaseMetric):
    default_prefix = 'toy'

    def __init__(self, threshold: float = 0.5, **kwargs) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold

    def process(self, data_batch, data_samples) -> None:
        self.results += [sample['mean'] for sample in data_samples]

    def compute_metrics(self, results: list) -> dict:
        return {'mean': sum(results) / len(results)}
