"""Metrics: pure functions here, what the Runner calls in `mmxf.evaluation.metrics`."""
