"""A WebSocket client of an echo server: `http1` by websockets, `http2` by h2 and wsproto (RFC 8441).

Takes the version and a port; says `ok` if every message came back, and the close was clean."""

import asyncio
import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings
import websockets
import wsproto.connection
import wsproto.events
import wsproto.frame_protocol

MESSAGES = ["hello", "", "é" * 1000, b"\x00\xff" * 500, "x" * 200_000, bytes(range(256)) * 4096]


async def http1(port):
    async with websockets.connect(
        f"ws://127.0.0.1:{port}/chat", subprotocols=["chat"], max_size=None
    ) as connection:
        assert connection.subprotocol == "chat", connection.subprotocol
        for message in MESSAGES:
            await connection.send(message)
            echoed = await connection.recv()
            assert echoed == message, (len(echoed), len(message))
        await (await connection.ping())
    assert connection.close_code == 1000, connection.close_code


class Http2:
    """One stream that is a WebSocket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.connection.initiate_connection()
        self.websocket = None
        self.head = None
        self.flush()

    def flush(self):
        self.socket.sendall(self.connection.data_to_send())

    def read(self):
        """Reads once; gives the WebSocket's events."""
        data = self.socket.recv(65536)
        assert data, "the connection ended"
        for event in self.connection.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                self.head = dict(event.headers)
                self.websocket = wsproto.connection.Connection(wsproto.connection.ConnectionType.CLIENT)
            elif isinstance(event, h2.events.DataReceived):
                self.websocket.receive_data(event.data)
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()
        return list(self.websocket.events()) if self.websocket else []

    def open(self):
        settings = self.connection.remote_settings
        while not settings.get(h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL, 0):
            self.read()
        self.connection.send_headers(
            1,
            [
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                (":authority", f"127.0.0.1:{self.socket.getpeername()[1]}"),
                (":path", "/chat"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-protocol", "chat"),
            ],
        )
        self.flush()
        while self.head is None:
            self.read()
        assert self.head[":status"] == "200", self.head
        assert self.head["sec-websocket-protocol"] == "chat", self.head

    def send(self, event):
        """Sends a WebSocket event within the windows; gives what came meanwhile."""
        data, came = self.websocket.send(event), []
        while data:
            room = min(
                self.connection.local_flow_control_window(1), self.connection.max_outbound_frame_size
            )
            if room <= 0:
                came += self.read()
                continue
            self.connection.send_data(1, data[:room])
            data = data[room:]
            self.flush()
        return came

    def echo(self, message):
        kind = wsproto.events.TextMessage if isinstance(message, str) else wsproto.events.BytesMessage
        pieces, events = [], self.send(kind(data=message))
        while True:
            for event in events:
                assert isinstance(event, kind), event
                pieces.append(event.data if isinstance(message, str) else bytes(event.data))
                if event.message_finished:
                    return type(message)().join(pieces)
            events = self.read()

    def close(self):
        events = self.send(wsproto.events.CloseConnection(code=wsproto.frame_protocol.CloseReason.NORMAL_CLOSURE))
        while not any(isinstance(event, wsproto.events.CloseConnection) for event in events):
            events = self.read()
        code = next(event.code for event in events if isinstance(event, wsproto.events.CloseConnection))
        assert code == 1000, code
        # Hypercorn neither ends the stream nor takes its end after this.
        self.socket.close()


async def http2(port):
    client = Http2(port)
    client.open()
    for message in MESSAGES:
        echoed = client.echo(message)
        assert echoed == message, (len(echoed), len(message))
    client.close()


asyncio.run({"http1": http1, "http2": http2}[sys.argv[1]](int(sys.argv[2])))
print("ok")
