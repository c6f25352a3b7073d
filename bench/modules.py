"""The floor of a start: `python -m bench.modules`, a process that only imports.

``list DATA_DIR`` starts our server and says which modules that has loaded, in their order;
``import FILE`` imports the modules of such a list, says so, and waits.
"""

from __future__ import annotations

import importlib
import json
import sys


def import_all(names: list[str]) -> int:
    """Import modules in order; gives how many there were. What only its loader can find (a
    migration, a part of a package that is made at run time) is left out."""
    count = 0
    for name in names:
        try:
            importlib.import_module(name)
            count += 1
        except Exception:
            continue
    return count


def list_modules(data_dir: str) -> list[str]:
    """The modules of a server that has come to SERVING."""
    from pathlib import Path

    import uvloop

    import smoothcore_server.cli.app  # noqa: F401
    from smoothcore_server.bootstrap import Application
    from smoothcore_server.config import load_settings

    async def start() -> list[str]:
        settings = load_settings(data_dir=Path(data_dir), listen=["127.0.0.1:0"], metrics_listen="")
        application = Application(settings)
        await application.start()
        loaded = list(sys.modules)
        await application.stop()
        return loaded

    own = ("bench", "__main__", "__mp_main__")
    return [name for name in uvloop.run(start()) if name.partition(".")[0] not in own]


def main() -> None:
    """Do what the command line says."""
    what, argument = sys.argv[1:]
    if what == "list":
        print(json.dumps({"modules": list_modules(argument)}), flush=True)
        return
    with open(argument) as file:
        names = json.load(file)
    print(json.dumps({"imported": import_all(names)}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
