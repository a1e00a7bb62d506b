"""The commands, a module each."""
from ._backports import stop_where_hidden

stop_where_hidden()
