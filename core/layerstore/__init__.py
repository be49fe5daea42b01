"""The shared core store: layers, as containers/storage keeps them. See `LayerStore`."""
