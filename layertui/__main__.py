"""`python -m layertui`."""

from layertui.cli import main

main()
