"""Papers, one folder each. Importing this room registers all their parts."""
from . import kmax  # noqa: F401
