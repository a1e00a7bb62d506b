"""Papers, one folder each. Importing this room registers all their parts."""
from . import kat, kmax, ktpformer, omnifusion  # noqa: F401
