"""Kernels, and the stand-in for mmcv's compiled extension.

Importing this package imports nothing heavy. ``extension.py`` holds the import hook that ``import mmxf``
installs; the other modules hold one op each and load when ``mmcv._ext`` is really imported.
"""
