"""A growing fire under a ceiling, as pure functions of time.

Heat release grows with the square of time (NFPA 72, annex B: Q = alpha * t^2); the temperature of
the ceiling jet at a detector follows R. L. Alpert's correlations ("Calculation of response time of
ceiling-mounted fire detectors", Fire Technology 8, 1972); the sensor follows the gas with one time
constant. Smoke and carbon monoxide are proportional to the gas' rise: enough to exercise a
gateway, no measure of any real fire.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

QUANTILES = 256


class Growth(StrEnum):
    """How fast a fire grows: 1,055 kW after 600, 300, 150 or 75 s."""

    SLOW = "slow"
    MEDIUM = "medium"
    FAST = "fast"
    ULTRA_FAST = "ultra-fast"


ALPHA_KW_PER_S2: dict[Growth, float] = {
    Growth.SLOW: 0.00293,
    Growth.MEDIUM: 0.01172,
    Growth.FAST: 0.0469,
    Growth.ULTRA_FAST: 0.1876,
}
"""NFPA 72, annex B."""

SMOKE_PER_M_PER_K = 0.006
"""Optical density (1/m) for each kelvin of rise: the middle of a range that spans two decades
between fuels. Illustrative."""

CO_PPM_PER_K = 2.0
"""Illustrative."""


@dataclass(frozen=True, slots=True)
class Fire:
    """A fire `ceiling_m` below the ceiling. Times are seconds since ignition."""

    growth: Growth = Growth.FAST
    peak_kw: float = 2_000.0
    ceiling_m: float = 3.0
    sensor_tau_s: float = 15.0
    noise: float = 0.0  # standard deviation, in the unit of the reading's resolution
    seed: int = 0

    def heat_release_kw(self, t_s: float) -> float:
        """Heat release rate; 0 before ignition."""
        return min(ALPHA_KW_PER_S2[self.growth] * max(t_s, 0.0) ** 2, self.peak_kw)

    def gas_rise_k(self, t_s: float, radius_m: float) -> float:
        """Rise of the ceiling jet over ambient at a distance from the fire's axis."""
        return float(_alpert_k(np.array([self.heat_release_kw(t_s)]), self.ceiling_m, radius_m)[0])

    def sensor_rise_k(self, t_s: float, radius_m: float) -> float:
        """Rise of a sensor with the time constant `sensor_tau_s`, in steady growth with the gas.

        The answer of a first-order lag is the mean of the past weighted by exp(-age / tau); here
        the mean over QUANTILES equally likely ages, so it can never fall while the gas warms.
        """
        if t_s <= 0:
            return 0.0
        likely = (np.arange(QUANTILES) + 0.5) / QUANTILES
        ages_s = -self.sensor_tau_s * np.log1p(-likely)
        past_s = np.maximum(t_s - ages_s, 0.0)
        release_kw = np.minimum(ALPHA_KW_PER_S2[self.growth] * past_s**2, self.peak_kw)
        return float(np.mean(_alpert_k(release_kw, self.ceiling_m, radius_m)))

    def reading(self, kind: str, ambient: float, t_s: float, radius_m: float) -> float | None:
        """What a sensor of `kind` reads, in °C, %/m or ppm; None for what fire does not move."""
        if kind in ("heat", "cable_temperature"):
            value = ambient + self.sensor_rise_k(t_s, radius_m)
        elif kind == "smoke":
            density_per_m = SMOKE_PER_M_PER_K * self.gas_rise_k(t_s, radius_m)
            value = ambient + (100.0 - ambient) * (1.0 - 10.0**-density_per_m)
        elif kind == "co":
            value = ambient + CO_PPM_PER_K * self.gas_rise_k(t_s, radius_m)
        else:
            return None
        return value + self._noise(t_s, radius_m)

    def _noise(self, t_s: float, radius_m: float) -> float:
        """Seeded noise as a function of time, the same for the same second: no state."""
        if self.noise == 0.0:
            return 0.0
        key = [self.seed, round(t_s * 1_000) & 0xFFFF_FFFF, round(radius_m * 1_000) & 0xFFFF_FFFF]
        return float(np.random.default_rng(key).normal(0.0, self.noise))


FIRE_KINDS = ("heat", "smoke", "co", "cable_temperature")
"""Kinds of points that a simulated fire moves."""


def _alpert_k(
    release_kw: NDArray[np.float64], ceiling_m: float, radius_m: float
) -> NDArray[np.float64]:
    """Alpert: 16.9 Q^(2/3) / H^(5/3) in the plume (r <= 0.18 H), else 5.38 (Q / r)^(2/3) / H."""
    if radius_m <= 0.18 * ceiling_m:
        return np.asarray(16.9 * release_kw ** (2 / 3) / ceiling_m ** (5 / 3))
    return np.asarray(5.38 * (release_kw / radius_m) ** (2 / 3) / ceiling_m)
