"""Training loops that a killed run leaves and enters again as if nothing had happened."""
from .exact_epoch import ExactEpochBasedTrainLoop
from .exact_iter import ExactIterBasedTrainLoop

__all__ = ['ExactEpochBasedTrainLoop', 'ExactIterBasedTrainLoop']
