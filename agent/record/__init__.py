"""The record process: seals, chains, ring and store."""
