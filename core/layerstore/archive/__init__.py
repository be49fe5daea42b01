"""Tar streams and folder trees: read, unpack, pack and compare them.

Nothing here knows what a store or a storage driver is.
"""
