"""The JSON panel."""
