"""`python -m smoothcore_server` is `smoothd`."""

import gc

# Imports leave no garbage. Looking for it, now and at the end, took a third of a short command.
gc.disable()

import smoothcore_commands  # noqa: E402, F401 - before gRPC
from smoothcore_server.cli.app import main  # noqa: E402

gc.freeze()
gc.enable()

if __name__ == "__main__":
    main()
