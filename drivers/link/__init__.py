"""Byte streams to field devices: TCP and serial ports, on the event loop, without a thread."""
