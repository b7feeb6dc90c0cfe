"""What the operating system says of an error, in its own words: asyncio writes some over."""

from __future__ import annotations

import errno
import os
import re

_NUMBER = re.compile(r"\[Errno ([0-9]{1,5})\]")


def reason(error: OSError) -> str:
    """Why, for people; "no answer" for a time that ran out, which has no text of its own.

    asyncio says "Connect call failed" with an address, whatever happened, and puts the errors of
    several addresses into one text.
    """
    numbers = [error.errno] if error.errno else map(int, _NUMBER.findall(str(error)))
    known = dict.fromkeys(os.strerror(n) for n in numbers if n in errno.errorcode)
    return ", ".join(known) or error.strerror or str(error) or "no answer"
