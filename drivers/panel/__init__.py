"""Fire panels on ports of their own: pure codecs and dialects, and one client for all of them."""
