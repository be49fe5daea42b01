"""The Changes panel."""
