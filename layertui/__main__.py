"""`python -m layertui`, and the `layertui` that is installed."""

import gc

gc.disable()  # what is imported is here to stay: the collector would take a tenth of the time to start up

from layertui.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
