"""The other end: receive, verify, decode. The reference consumer of the uplink."""
