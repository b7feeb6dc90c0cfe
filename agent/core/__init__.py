"""Pure decisions. No clock, no I/O, no logging: arrays and frozen values in, decisions out."""
