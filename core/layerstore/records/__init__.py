"""The JSON files of a store, and who uses its layers."""
