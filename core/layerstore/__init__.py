"""The shared core store: layers, as containers/storage keeps them. See `LayerStore`."""

from layerstore.errors import *  # noqa: F403 - for the time until all modules are there
from layerstore.config import StorePlace, find_store  # noqa: F401
from layerstore.model import *  # noqa: F403
