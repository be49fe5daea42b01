"""layertui: an interactive terminal browser for container layers."""
