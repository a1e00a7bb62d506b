"""Loading, overriding and validating configs.

``load_config`` is the way in; every command and api of mmxf uses it. Importing this package loads nothing
heavy.
"""

from .errors import ConfigError, Problem, UserError
from .loading import load_config

__all__ = ['ConfigError', 'Problem', 'UserError', 'load_config']
