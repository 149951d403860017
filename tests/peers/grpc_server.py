"""A gRPC service without generated code: messages are bytes.

Prints its port, and then a line for each call that ends: its method and whether the client cancelled it. Methods of
peers.Echo:

  Unary       the request, or what its metadata ask for: `x-sleep` seconds first, `x-fail` CODE:MESSAGE instead
  Collect     the number and the bytes of all requests
  Count       N answers for a request N; for ever if N is negative
  Chat        each request, as it comes
"""

import sys
import threading
from concurrent import futures

import grpc


def code(name):
    return grpc.StatusCode[name]


def begin(context):
    """What every method does first: metadata in both kinds of headers, and the faults that were asked for."""
    asked = dict(context.invocation_metadata())
    initial = [("x-initial", "first"), ("x-bytes-bin", b"\x00\x01\xff")]
    initial += [("x-seen-" + key, value) for key, value in asked.items() if key.startswith("x-echo")]
    context.set_trailing_metadata((("x-trailing", "last"), ("x-trailing-bin", b"\xfe\x00")))
    if "x-fail" in asked:
        # Before any message and any header: the response is its trailers only.
        name, message = asked["x-fail"].split(":", 1)
        context.abort(code(name), message)
    context.send_initial_metadata(tuple(initial))
    return asked


def told(context, method):
    """Tells the end of a call."""
    ended = threading.Event()

    def done():
        # `code()` is set by a handler that ran to its end.
        cancelled = context.code() is None and not ended.is_set()
        print(f"ended {method} {'cancelled' if cancelled else 'done'}", flush=True)

    context.add_callback(done)
    return ended


def unary(request, context):
    ended = told(context, "Unary")
    asked = begin(context)
    if "x-sleep" in asked:
        gone = threading.Event()
        context.add_callback(gone.set)
        gone.wait(float(asked["x-sleep"]))
        if not context.is_active():
            return b""
    ended.set()
    return request


def collect(requests, context):
    ended = told(context, "Collect")
    begin(context)
    count = size = 0
    for request in requests:
        count += 1
        size += len(request)
    ended.set()
    return f"{count} {size}".encode()


def count(request, context):
    ended = told(context, "Count")
    begin(context)
    wanted, index = int(request), 0
    while index != wanted and context.is_active():
        yield str(index).encode()
        index += 1
        if wanted < 0:
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(0.01)
    if index == wanted:
        ended.set()


def chat(requests, context):
    ended = told(context, "Chat")
    begin(context)
    for request in requests:
        yield b"re: " + request
    ended.set()


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Collect": grpc.stream_unary_rpc_method_handler(collect),
    "Count": grpc.unary_stream_rpc_method_handler(count),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
}


def main():
    limits = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=limits)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("peers.Echo", METHODS),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


main()
