"""Escaping and formatting of text. Imports neither Textual nor Rich."""
