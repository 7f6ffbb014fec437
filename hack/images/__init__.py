"""Builds the two images by docker or buildah and pushes them to the local registry; unchanged inputs build nothing."""
