"""Hooks, one file each."""
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .class_count_hook import ClassCountError, ClassCountHook
from .forecast_hook import ForecastHook
from .non_finite_loss_hook import NonFiniteLossError, NonFiniteLossHook
from .visualization_hook import PanopticVisualizationHook

__all__ = ['AtomicCheckpointHook', 'ClassCountError', 'ClassCountHook', 'ForecastHook', 'NonFiniteLossError',
           'NonFiniteLossHook', 'PanopticVisualizationHook']
