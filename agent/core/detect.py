"""The detectors: a block of readings in, the points that changed out.

READY and NOT_READY are explicit: a point that has not given enough valid samples, was lost or is
faulty has decided nothing, and "no alarm" must not be read into it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agent.core import kernels
from agent.core.image import Image
from agent.core.site import I4, Site
from drivers.reading import ReadingBlock

Kernel = Callable[..., int]
"""`agent.core.step.step`, or its compiled form: same arguments, same bits."""


def step(kernel: Kernel, site: Site, image: Image, block: ReadingBlock) -> I4:
    """Take a block into the image; the points whose reported bits changed, in block order.

    The result is a view of a scratch buffer, valid until the next call.
    """
    assert block.point.dtype == np.int32
    assert block.value.dtype == np.float64
    assert block.quality.dtype == np.uint8
    m = block.point.shape[0]
    assert m == block.value.shape[0] == block.quality.shape[0] <= image.changed.shape[0]
    assert block.point.flags.c_contiguous
    assert block.value.flags.c_contiguous
    assert block.quality.flags.c_contiguous
    count = kernel(
        block.point,
        block.value,
        block.quality,
        block.mono_ns,
        image.words,
        image.stamps,
        image.state,
        site.rows,
        image.changed,
    )
    assert count >= 0, f"poll {block.poll} names a point that the plan does not have"
    return image.changed[:count]


def readiness(bits: int) -> str:
    """What the detectors of a point can say: ready, not_ready, invalid or stale."""
    if bits & kernels.STALE:
        return "stale"
    if bits & kernels.INVALID:
        return "invalid"
    return "ready" if bits & kernels.READY else "not_ready"
