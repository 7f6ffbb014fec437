"""HTTP: routes, bodies, responses, server-sent events, connections. The only room with aiohttp in it."""
