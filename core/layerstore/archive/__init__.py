"""Tar archives and trees of files: reading, unpacking inside a root, packing, comparing."""
