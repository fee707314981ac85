"""How long it takes to start: `import tilth`, `tilth --help`, and a run that is finished already.

    python benchmarks/startup.py [RECIPE]

Each command runs five times after a warm-up; the figure is the median of the whole process. With a recipe whose run is
finished (default recipes/quickstart.yaml), running it again is timed too. Writes results/startup.json.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tilth.base import machine
from tilth.base.files import write_json

QUIET = 0.5


def seconds(command: list[str]) -> float:
    """Median wall seconds of five runs after one that does not count."""
    taken = []
    for _ in range(6):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken[1:]), 3)


def main(recipe: str) -> None:
    load = os.getloadavg()[0]
    tilth = [str(Path(sys.executable).with_name("tilth"))]
    rows = {
        "python -c pass": seconds([sys.executable, "-c", "pass"]),
        "python -c 'import tilth'": seconds([sys.executable, "-c", "import tilth"]),
        "tilth --help": seconds([*tilth, "--help"]),
    }
    if (Path("runs") / Path(recipe).stem / "outcome.json").exists():
        rows[f"tilth run {recipe} (finished)"] = seconds([*tilth, "run", recipe])
    host = machine.describe()
    del host["host"]
    counts = load < QUIET
    write_json(
        Path(__file__).parent / "results" / "startup.json",
        {"seconds": rows if counts else "not measured", "load_before": round(load, 2), "machine": host},
    )
    for name, value in rows.items():
        print(f"{name:<50} {value:.3f} s")
    if not counts:
        print(f"load {load:.2f} before the run: these figures do not count (below {QUIET} they do)")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "recipes/quickstart.yaml")
