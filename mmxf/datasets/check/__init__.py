"""Is a data set what its config says? Looked at before the first iteration, and alone by ``mmxf check-dataset``.

`run.py` goes through a sample of a data set; one file a kind of annotation says what is wrong with one image; `report.py`
collects; `classes.py` compares names and counts with annotation files, heads and checkpoints.
"""
from .report import Problem, Report
from .run import check_dataset

__all__ = ['Problem', 'Report', 'check_dataset']
