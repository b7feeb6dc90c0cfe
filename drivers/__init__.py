"""The senses and the hands: field links, Modbus, panels, sirens, and the simulated building."""
