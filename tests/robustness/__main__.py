"""``python -m tests.robustness``: long runs, several seeds; what `make robustness` calls."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from tests.robustness.run import SERVERS, Plan, run


def main() -> int:
    """Run seed after seed; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--seeds", type=int, default=3, help="so many, from --seed on")
    parser.add_argument("--duration", type=float, default=60.0, help="seconds of faults per run")
    parser.add_argument("--engine", choices=[*SERVERS, "both"], default="both")
    parser.add_argument("--keep", type=Path, default=Path(".build/robustness"))
    options = parser.parse_args()
    engines = list(SERVERS) if options.engine == "both" else [options.engine]
    faults: Counter[str] = Counter()
    broken = []
    for seed in range(options.seed, options.seed + options.seeds):
        for engine in engines:
            started = time.monotonic()
            outcome = asyncio.run(run(Plan(engine, seed, options.duration), options.keep))
            print(f"[{time.monotonic() - started:.0f} s] {outcome}", flush=True)
            faults += outcome.faults
            broken += [outcome] if outcome.violations else []
    print("all faults:", ", ".join(f"{name} {count}" for name, count in sorted(faults.items())))
    for outcome in broken:
        print(f"BROKEN: --engine {outcome.plan.engine} --seed {outcome.plan.seed} --seeds 1")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
