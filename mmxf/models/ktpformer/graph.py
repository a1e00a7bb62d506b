"""Graph convolution with a learned affinity on top of a given adjacency (KTPFormer, sections 3.2 and 3.3).

Each node's own features and its neighbours' have weights of their own (Zhao et al., Semantic GCN, CVPR 2019), and a learned
factor per node and channel modulates both.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmxf.layers.lean_linear import project


class PriorGraphConv(nn.Module):
    """Affine map, mixing over nodes, batch norm, ReLU.

    Args:
        adjacency: (L, L), the topology that is given; the learned affinity starts at 1e-6 everywhere.
        in_channels, out_channels: of the nodes' features.
    """

    def __init__(self, adjacency: np.ndarray, in_channels: int, out_channels: int) -> None:
        super().__init__()
        nodes = len(adjacency)
        self.register_buffer('adjacency', torch.from_numpy(np.asarray(adjacency, np.float32)), persistent=False)
        self.affinity = nn.Parameter(torch.full((nodes, nodes), 1e-6))
        self.weight = nn.Parameter(torch.empty(2, in_channels, out_channels))       # of the node itself, of its neighbours
        self.modulation = nn.Parameter(torch.ones(nodes, out_channels))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.norm = nn.BatchNorm1d(out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the official code: Xavier over the three-dimensional tensor, gain 1.414."""
        nn.init.xavier_uniform_(self.weight, gain=1.414)
        nn.init.uniform_(self.bias, -1 / math.sqrt(self.bias.numel()), 1 / math.sqrt(self.bias.numel()))

    def forward(self, x: Tensor) -> Tensor:
        """(N, L, in) to (N, L, out)."""
        graph = self.adjacency + self.affinity
        graph = (graph + graph.t()) / 2                                             # (L, L), symmetric
        own_share = graph.diagonal()[:, None]                                       # (L, 1)
        between = graph - torch.diag(graph.diagonal())
        weight, bias = self.weight, self.bias
        folded = not self.norm.training and not torch.is_grad_enabled()
        if folded:      # in inference the batch norm goes into weights and bias
            scale = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
            weight = weight * scale
            bias = (bias - self.norm.running_mean) * scale + self.norm.bias
        own, others = project(x, weight.to(x.dtype).mT.flatten(0, 1)).chunk(2, -1)           # (N, L, out) each
        modulation = self.modulation.to(own.dtype)
        mixed = between.to(own.dtype) @ (modulation * others)
        out = torch.addcmul(mixed, own_share.to(own.dtype) * modulation, own) + bias.to(own.dtype)
        if not folded:
            out = self.norm(out.flatten(0, 1)).view_as(out)
        return F.relu(out)
