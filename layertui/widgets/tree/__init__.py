"""The virtual tree."""
