"""The built-in run by its short name: omnifusion_r18_mini.py."""
_base_ = 'omnifusion_r18_mini.py'
