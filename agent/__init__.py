"""The gateway: a pure core that decides, and the processes that run loops around it."""
