"""Finds the store to open and the user namespace to open it in.

`rootless` is public. Everything else that is public here can be imported from `layerstore`.
"""
