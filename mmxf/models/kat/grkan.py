"""The group-rational KAN layer: a learned rational function of each group of channels, then a linear layer (section 4.2)."""
import torch
from mmcv.cnn.bricks.drop import build_dropout
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmxf.ops.rational import rational
from mmxf.registry import MODELS

from .fit import fit, gain


@MODELS.register_module()
class Rational(nn.Module):
    """A rational function of each group of channels; also an activation for ``act_cfg=dict(type='mmxf.Rational')``.

    The numerator is shared by the groups, as in published models, unless `shared_numerator` is off.

    Args:
        num_groups: groups of channels; must divide the channels of what comes in.
        init: the activation to start from, see `mmxf.models.kat.fit.ACTIVATIONS`.
        orders: of numerator and denominator.
        shared_numerator: one numerator for all groups.
        channel_dim: -1 for (..., C), 1 for (B, C, H, W).
    """

    def __init__(self, num_groups: int = 8, init: str = 'swish', orders: tuple[int, int] = (5, 4), *,
                 shared_numerator: bool = True, channel_dim: int = -1) -> None:
        super().__init__()
        numerator, denominator = fit(init, tuple(orders))
        self.channel_dim = channel_dim
        self.start = init
        self.numerator = nn.Parameter(torch.tensor(numerator).repeat(1 if shared_numerator else num_groups, 1))
        self.denominator = nn.Parameter(torch.tensor(denominator).repeat(num_groups, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Of the shape and type of `x`."""
        return rational(x, self.numerator, self.denominator, self.channel_dim)

    def extra_repr(self) -> str:
        return f'num_groups={len(self.denominator)}, init={self.start!r}, channel_dim={self.channel_dim}'


@MODELS.register_module()
class GRKAN(BaseModule):
    """Two group-rational layers in place of a feed-forward network: rational, linear, rational, linear.

    Takes mmcv's arguments of a feed-forward network, so that transformers name it where they name ``FFN``.

    Args:
        embed_dims: channels in and out.
        feedforward_channels: channels between the linear layers.
        num_fcs: linear layers; 2 is the only number there is.
        act_cfg: for mmcv's sake; its ``type`` (GELU, ReLU, SiLU ...) is what the second rational starts from, unless
            `act_init` says so.
        ffn_drop: dropout behind both rationals, as in the official code.
        dropout_layer: config of what the result passes before it is added to the input, for instance DropPath.
        add_identity: whether the input is added.
        num_groups: groups of channels of both rationals.
        act_init: what the second rational starts from; the first starts from the identity.
        init_cfg: mmengine's.
    """
    STARTS = dict(GELU='gelu', ReLU='relu', SiLU='swish', Swish='swish', Tanh='tanh', Sigmoid='sigmoid', Mish='mish')

    def __init__(self, embed_dims: int = 256, feedforward_channels: int = 1024, num_fcs: int = 2, act_cfg: dict | None = None,
                 ffn_drop: float = 0.0, dropout_layer: dict | None = None, add_identity: bool = True, *,
                 num_groups: int = 8, act_init: str | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if num_fcs != 2:
            raise ValueError(f'GRKAN has two linear layers, got num_fcs={num_fcs}')
        if act_init is None:
            kind = (act_cfg or dict(type='SiLU'))['type']
            if kind not in self.STARTS:
                raise ValueError(f'GRKAN has no start for the activation {kind!r}; give act_init, or one of {list(self.STARTS)}')
            act_init = self.STARTS[kind]
        self.embed_dims = embed_dims
        self.rational1 = Rational(num_groups, 'identity')
        self.fc1 = nn.Linear(embed_dims, feedforward_channels)
        self.rational2 = Rational(num_groups, act_init)
        self.fc2 = nn.Linear(feedforward_channels, embed_dims)
        self.drop = nn.Dropout(ffn_drop)
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()
        self.add_identity = add_identity

    def forward(self, x: Tensor, identity: Tensor | None = None) -> Tensor:
        """(..., C) -> (..., C), with `identity` (default: `x`) added where that is on."""
        out = self.drop(self.rational1(x))
        out = self.drop(self.rational2(self.fc1(out)))
        out = self.dropout_layer(self.fc2(out))
        return out if not self.add_identity else out + (x if identity is None else identity)

    @torch.no_grad()
    def keep_variance(self) -> None:
        """The paper's variance-preserving start (section 4.3): normal weights of variance gain / inputs.

        The official code does this and then overwrites it with a truncated normal of 0.02: published models did not start so.
        """
        for linear, name in ((self.fc1, self.rational1.start), (self.fc2, self.rational2.start)):
            nn.init.normal_(linear.weight, std=(gain(name) / linear.in_features) ** 0.5)
            nn.init.zeros_(linear.bias)
