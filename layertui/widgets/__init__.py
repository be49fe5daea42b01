"""Widgets that know nothing about layers: they get data and post messages about what the user does."""
