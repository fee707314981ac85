"""Run as a program: train a small phase in the folder given, for tests that kill it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.training.phases import COMPUTE, phase, train
from tilth.training import Interrupted

SETTINGS = phase(40, precision="fp32", schedule={"warmup": 1000, "shape": "linear"})

if __name__ == "__main__":
    try:
        train(Path(sys.argv[1]), SETTINGS, compute=COMPUTE.model_copy(update={"checkpoint_steps": 5}))
    except Interrupted as stopped:
        sys.exit(128 + stopped.signal_number)
