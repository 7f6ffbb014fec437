"""Ports for programs that are started beside each other."""

from ephemeral_port_reserve import reserve


def free_port() -> int:
    """A port of 127.0.0.1 that no other process is given before this one binds it, for a minute.

    One that was merely bound and closed is soon drawn again, and two programs that are waited for on the same port
    take each other's answer for their own. What binds it has to set SO_REUSEADDR, as servers do.
    """
    return int(reserve())
