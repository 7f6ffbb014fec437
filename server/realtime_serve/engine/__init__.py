"""Continuous batching in a process of its own: the client, the loop, and what decides who runs. It knows token ids only."""
