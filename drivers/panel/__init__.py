"""Fire panels and what speaks like one: frame codecs and dialects, pure."""
