"""The cosine noise schedule of diffusion models (Nichol and Dhariwal, arXiv:2102.09672), as D3DP stores it."""
import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Buffers of D3DP's state dict, in its order.
SCHEDULE_NAMES = ('betas', 'alphas_cumprod', 'alphas_cumprod_prev', 'sqrt_alphas_cumprod', 'sqrt_one_minus_alphas_cumprod',
                  'log_one_minus_alphas_cumprod', 'sqrt_recip_alphas_cumprod', 'sqrt_recipm1_alphas_cumprod',
                  'posterior_variance', 'posterior_log_variance_clipped', 'posterior_mean_coef1', 'posterior_mean_coef2')


def cosine_schedule(steps: int, offset: float = 0.008) -> dict[str, Tensor]:
    """All that follows from the number of steps: (steps,) float64 each, by D3DP's names."""
    x = torch.linspace(0, steps, steps + 1, dtype=torch.float64)
    kept = torch.cos((x / steps + offset) / (1 + offset) * math.pi * 0.5) ** 2
    kept = kept / kept[0]
    betas = (1 - kept[1:] / kept[:-1]).clip(0, 0.999)
    alphas = 1. - betas
    product = alphas.cumprod(0)
    before = F.pad(product[:-1], (1, 0), value=1.)
    variance = betas * (1. - before) / (1. - product)
    return dict(zip(SCHEDULE_NAMES, (
        betas, product, before, product.sqrt(), (1. - product).sqrt(), (1. - product).log(), (1. / product).sqrt(),
        (1. / product - 1).sqrt(), variance, variance.clamp(min=1e-20).log(), betas * before.sqrt() / (1. - product),
        (1. - before) * alphas.sqrt() / (1. - product))))
