"""A load of chat streams, each judged: whole, cut, mixed, garbled or refused.

Needs aiohttp and nothing else of this repository, so that a pod of the server's image can run it from a ConfigMap.
"""
