"""Requests as spans of distributed traces, for those who ask for them."""
