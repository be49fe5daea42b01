"""The Waste panel."""
