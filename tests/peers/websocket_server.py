"""A WebSocket server that echoes: `http1` by websockets, `http2` by hypercorn (RFC 8441). Prints its port."""

import asyncio
import socket
import sys

import hypercorn.asyncio
import hypercorn.config
import websockets


def listening_socket():
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(128)
    listening.setblocking(False)
    return listening


async def http1(listening):
    async def echo(connection):
        async for message in connection:
            await connection.send(message)

    def choose(connection, protocols):
        return "chat" if "chat" in protocols else None

    async with websockets.serve(echo, sock=listening, max_size=None, select_subprotocol=choose):
        print(listening.getsockname()[1], flush=True)
        await asyncio.Future()


async def http2(listening):
    async def application(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                event = await receive()
                await send({"type": event["type"] + ".complete"})
                if event["type"] == "lifespan.shutdown":
                    return
        if scope["type"] != "websocket" or scope["http_version"] != "2":
            raise RuntimeError(f"{scope['type']} over {scope['http_version']}")
        await receive()
        protocol = "chat" if "chat" in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": protocol})
        while (event := await receive())["type"] == "websocket.receive":
            message = {key: event[key] for key in ("text", "bytes") if event.get(key) is not None}
            await send({"type": "websocket.send", **message})

    config = hypercorn.config.Config()
    config.bind = [f"fd://{listening.fileno()}"]
    config.accesslog = config.errorlog = None
    print(listening.getsockname()[1], flush=True)
    await hypercorn.asyncio.serve(application, config)


asyncio.run({"http1": http1, "http2": http2}[sys.argv[1]](listening_socket()))
