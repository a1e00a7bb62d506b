"""Metrics: pure functions here, what the Runner calls in :mod:`mmxf.evaluation.metrics`."""
from . import metrics  # noqa: F401  (registers them)
