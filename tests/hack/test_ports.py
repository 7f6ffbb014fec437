"""Ports of programs that are started beside each other."""

import socket

from hack.ports import free_port

DRAWS = 500  # of some 28,000: ports that are bound and closed come back about nine times in as many


def test_no_port_is_drawn_twice():
    assert len({free_port() for _ in range(DRAWS)}) == DRAWS


def test_a_server_can_take_the_port_at_once():
    with socket.create_server(("127.0.0.1", port := free_port())) as server:
        assert server.getsockname() == ("127.0.0.1", port)
