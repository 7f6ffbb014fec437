"""Weights, attention, KV memory and sampling over transformers' forward: the only room that knows torch."""
