"""Losses that more than one paper uses: pure functions, and thin registered modules around them."""
from .depth import BerHuLoss, MaskedL1Loss, SiLogLoss, berhu, masked_l1, silog

__all__ = ['BerHuLoss', 'MaskedL1Loss', 'SiLogLoss', 'berhu', 'masked_l1', 'silog']
