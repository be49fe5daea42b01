"""The Lineage panel."""
