"""The one error of the uplink codecs."""

from __future__ import annotations


class UplinkError(Exception):
    """Bytes that are not what the contract says, or not from whom they claim.

    code: one of the error codes of docs/uplink.md: "malformed", "too_large", "forged",
    "unknown_key", "wrong_type", "version", "foreign", "unknown_table".
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
