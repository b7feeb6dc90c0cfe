"""Keys of a device. Stands alone: it is used where no gateway is installed."""
