"""How long properties are examined: a moment in every run, long in `make fuzz`."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings

# Commands speak the language of the locale; whoever runs the tests may have any.
os.environ["LC_ALL"] = "C.UTF-8"

# The machine that runs the tests may be busy: an example that is late is not a failure.
settings.register_profile("default", deadline=None, print_blob=True)
_USUAL = settings().max_examples
_LONGER = 200  # times as many examples of every property in `make fuzz`
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=_LONGER * _USUAL,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("default")


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """A profile does not reach a property that names its own number of examples: lengthen those.

    Hypothesis has no public way to do so; a test of the house says whether this one still works.
    """
    if config.getoption("--hypothesis-profile", None) != "fuzz":
        return
    done: set[int] = set()
    for item in items:
        function = getattr(item, "obj", None)
        function = getattr(function, "__func__", function)
        own = getattr(function, "_hypothesis_internal_use_settings", None)
        if function is None or own is None or id(function) in done:
            continue  # the cases of a parametrized test share their function
        done.add(id(function))
        if own.max_examples != _LONGER * _USUAL:
            longer = settings(own, max_examples=_LONGER * own.max_examples)
            function._hypothesis_internal_use_settings = longer
