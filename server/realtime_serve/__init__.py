"""realtime-serve's server: batched, streamed language models over HTTP."""

__version__ = "0.1.0"
