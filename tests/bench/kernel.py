"""The detection kernel: time a point, time of a call for one point, and river on the same samples.

river is not a dependency: it gets an environment of its own below build/, when this part is run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from bench.figures import Figures

from agent.core import kernels as k
from agent.core.detect import Kernel
from agent.core.kernel_loader import load_kernel
from agent.core.rows import prepare
from config.kinds import resolve
from config.plan import PARAMS

POINTS = 10_000
TICKS = 400
SETTLE = 20
RIVER = "river==0.26.1"
RIVER_HOME = Path(__file__).parents[2] / "build" / "river-venv"
RIVER_SCRIPT = """
import array, json, sys, time
from river.drift import PageHinkley
samples = array.array("d", sys.stdin.buffer.read()).tolist()
best = float("inf")
for _ in range(5):
    update = PageHinkley().update
    began = time.perf_counter_ns()
    for sample in samples:
        update(sample)
    best = min(best, time.perf_counter_ns() - began)
print(json.dumps(best / len(samples)))
"""
HEAT = dict(zip(PARAMS, resolve("heat", "A1", "°C", ()).params, strict=True))
EVERYTHING = {
    **HEAT,
    "range_max": 200.0,
    "heavy_level": 90.0,
    "heavy_clear": 85.0,
    "low_level": 2.0,
    "low_clear": 4.0,
    "low_low_level": -5.0,
    "low_low_clear": -3.0,
    "high_level": 54.0,
    "high_clear": 52.0,
    "high_high_level": 56.0,
    "high_high_clear": 54.0,
    "on_delay_s": 2.0,
    "off_delay_s": 2.0,
    "fall_allow": 5.0,
    "fall_limit_s": 600.0,
    "flat_band": 0.02,
    "flat_s": 86_400.0,
    "offset_prealarm": 20.0,
    "offset_fire": 30.0,
}


def measure(figures: Figures) -> None:
    """All of it, with the kernel that the installation has."""
    loaded = load_kernel()
    how = f"kernel '{loaded.path}', a block of {POINTS} calm points with noise, best of {TICKS}"
    every = 0.0
    for name, row, bar in (("heat", HEAT, ""), ("everything", EVERYTHING, "<= 15")):
        every = _ns(loaded.kernel, row, POINTS)
        figures.add(f"kernel_{name}_{POINTS}", every, "ns/point", how, bar)
    single = _ns(loaded.kernel, EVERYTHING, 1) / 1000
    figures.add("kernel_everything_1", single, "µs", "one call for one point, likewise", "<= 3")
    river = _river()
    figures.add(
        "river_page_hinkley", river, "ns/sample", f"{RIVER}, one detector, the same samples"
    )
    figures.add("kernel_to_river", river / every, "times cheaper", "the two above", ">= 25")


def _samples() -> np.ndarray:
    """[16, POINTS], °C: rooms of their own temperatures, and the noise of their sensors."""
    rng = np.random.default_rng(1)
    return 25 + rng.normal(0, 2, POINTS) + rng.normal(0, 0.3, (16, POINTS))


def _ns(kernel: Kernel, row: dict[str, float], n: int) -> float:
    """Time a point; the least of all calls, for others work on the machine, too."""
    words = np.zeros((n, k.WORDS), np.uint32)
    words[:, k.MODE] = 1
    stamps = np.full((n, k.STAMPS), k.NEVER, np.int64)
    state = np.zeros((n, k.STATES))
    state[:, k.BASELINE] = np.nan
    params = prepare(np.array([[row[name] for name in PARAMS]]))
    samples = np.ascontiguousarray(_samples()[:, :n])
    idx, quality = np.arange(n, dtype=np.int32), np.zeros(n, np.uint8)
    changed = np.zeros(n, np.int32)
    took = []
    for tick in range(SETTLE + TICKS):
        block, t = samples[tick % len(samples)], (tick + 1) * 10**9
        began = time.perf_counter_ns()
        kernel(idx, block, quality, t, words, stamps, state, params, changed)
        took.append(time.perf_counter_ns() - began)
    assert (words[:, k.BITS] == k.CALM).mean() > 0.99, "the samples were meant to be calm"
    return min(took[SETTLE:]) / n


def _river() -> float:
    python = RIVER_HOME / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", RIVER_HOME], check=True)
    pip = [str(python), "-m", "pip", "install", "-qq", "--only-binary", ":all:", RIVER]
    subprocess.run(pip, check=True)
    samples = _samples().ravel()[: 5 * POINTS].tobytes()
    done = subprocess.run(
        [python, "-c", RIVER_SCRIPT], input=samples, capture_output=True, check=True
    )
    return float(json.loads(done.stdout))
