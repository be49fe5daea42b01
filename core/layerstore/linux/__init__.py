"""Kernel calls and files by descriptor. Nothing here knows about stores."""
