"""The entry point of `layertui` and `python -m layertui`."""

import gc

gc.disable()  # imports create no garbage, and collecting would take a tenth of the start-up time

from layertui.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
