"""A simulated building: panels, sensors and relay boards that fail and burn on demand."""
