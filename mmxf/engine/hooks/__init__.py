"""Hooks, one file each."""
from .atomic_checkpoint_hook import AtomicCheckpointHook
from .class_count_hook import ClassCountError, ClassCountHook
from .data_check_hook import DataCheckError, DataCheckHook
from .determinism_hook import DeterminismHook
from .float32_loss_hook import Float32LossHook
from .forecast_hook import ForecastHook
from .input_profiler_hook import InputProfilerHook
from .load_report_hook import LoadReportHook, NothingLoadedError
from .non_finite_loss_hook import NonFiniteLossError, NonFiniteLossHook
from .preemption_hook import PREEMPTED_STATUS, Preempted, PreemptionHook
from .progress_hook import ProgressHook
from .visualization_hook import PanopticVisualizationHook

__all__ = ['AtomicCheckpointHook', 'ClassCountError', 'ClassCountHook', 'DataCheckError', 'DataCheckHook',
           'DeterminismHook', 'Float32LossHook', 'ForecastHook', 'InputProfilerHook', 'LoadReportHook',
           'NonFiniteLossError', 'NonFiniteLossHook', 'NothingLoadedError', 'PREEMPTED_STATUS',
           'PanopticVisualizationHook', 'Preempted', 'PreemptionHook', 'ProgressHook']
