"""Layers as data, without Textual."""
