"""Widgets that know nothing of layers: they are given data and post messages about what the user does."""
