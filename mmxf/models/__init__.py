"""Papers, one folder each. Importing this room registers all their parts."""
from . import kat, kmax, ktpformer  # noqa: F401
