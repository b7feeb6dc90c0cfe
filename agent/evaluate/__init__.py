"""Replay of recordings through the code that runs in the field, and what came of it."""
