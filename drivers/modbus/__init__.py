"""Modbus: the pure planner and values, the framing, and the bus master that owns a line."""
