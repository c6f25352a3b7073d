"""``python -m smoothcore_client.cli`` is the command ``smooth``."""

from smoothcore_client.cli import main

main()
