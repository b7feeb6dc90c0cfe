"""How long properties are examined: a moment in every run, long in `make fuzz`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machine that runs the tests may be busy: an example that is late is not a failure.
settings.register_profile("default", deadline=None, print_blob=True)
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=20_000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")
