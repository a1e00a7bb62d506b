"""From a data set's official downloads to the tree that the configs read: checking, unpacking, deriving."""
