"""The uplink contract as pure code: bytes to values and back (docs/uplink.md)."""
