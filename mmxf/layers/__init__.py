"""Blocks that more than one paper can use, one idea a file."""
