"""Learning rate and weight decay of each parameter; mixed precision."""
from .mixed_precision import mixed_precision, precision
from .typed_decay import TypedDecayOptimWrapperConstructor

__all__ = ['TypedDecayOptimWrapperConstructor', 'mixed_precision', 'precision']
