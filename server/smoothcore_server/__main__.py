"""`python -m smoothcore_server` is `smoothd`."""

from smoothcore_server.cli import main

if __name__ == "__main__":
    main()
