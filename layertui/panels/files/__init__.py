"""The Files panel."""
