"""Outputs that sound: Modbus coils with read-back."""
