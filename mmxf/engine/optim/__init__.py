"""Learning rate and weight decay of each parameter."""
from .typed_decay import TypedDecayOptimWrapperConstructor

__all__ = ['TypedDecayOptimWrapperConstructor']
