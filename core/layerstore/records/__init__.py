"""The JSON files of a store: layers, mounts, and the images and containers that use layers."""
