"""Training loops that a killed run leaves and enters again as if nothing had happened."""
from .exact_epoch import ExactEpochBasedTrainLoop
from .exact_iter import ExactIterBasedTrainLoop
from .thorough_val import MissingTargetsError, ThoroughValLoop

__all__ = ['ExactEpochBasedTrainLoop', 'ExactIterBasedTrainLoop', 'MissingTargetsError', 'ThoroughValLoop']
