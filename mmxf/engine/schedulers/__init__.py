"""Schedules of learning rate and momentum."""
from .tf2_warmup_poly import TF2WarmupPolyLR

__all__ = ['TF2WarmupPolyLR']
