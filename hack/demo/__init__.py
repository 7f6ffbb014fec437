"""The demo: a model on a real Kubernetes, and a version swap under live streams."""
