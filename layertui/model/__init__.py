"""Layers as data. Imports neither Textual nor Rich."""
