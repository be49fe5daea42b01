"""Linux calls and file operations that work on descriptors.

Nothing here knows what a layer, a store or a storage driver is.
"""
