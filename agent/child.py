"""A value from a large plan, by way of a child process.

Ten thousand points decoded are several megabytes that come back to the system in small pieces or
never. So a process that ends decodes them, and hands over the few bytes that are needed.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def from_child(plan: Path, read: Callable[[], Any], *errors: type[Exception]) -> Any:
    """What `read` returns in a child: None, numbers, texts, bytes, and plain containers of them.

    An exception of one of the types `errors` is raised here as that type, with its text. Raises
    OSError when there is no child. Only before there are threads.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _tell(writing, read, errors)
            status = 0
        finally:
            os._exit(status)  # no buffer of the parent is written twice
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if status != 0 or not said:
        raise OSError(f"{plan}: the process that reads the plan ended with status {status}")
    error, value = marshal.loads(said)  # noqa: S302 -- our own child, through our own pipe
    if error is not None:
        raise errors[error](value)
    return value


def _tell(writing: int, read: Callable[[], Any], errors: tuple[type[Exception], ...]) -> None:
    answer: tuple[int | None, Any]
    try:
        answer = None, read()
    except errors as e:
        answer = next(i for i, error in enumerate(errors) if isinstance(e, error)), str(e)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(marshal.dumps(answer))
