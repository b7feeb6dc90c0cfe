"""The field process: bus masters, inputs, one cycle, orders."""
