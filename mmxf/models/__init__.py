"""Papers, one folder each. Importing this room registers all their parts."""
from . import kmax, ktpformer  # noqa: F401
