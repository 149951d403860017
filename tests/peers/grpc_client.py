"""Calls peers.Echo at an address, one case after the other, and prints `passed` after the last.

A case that finds anything else than it expects raises. The case `cancel` leaves a line at the server.
"""

import sys
import threading

import grpc

LIMITS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
DEADLINE = 20


class Echo:
    def __init__(self, channel):
        self.unary = channel.unary_unary("/peers.Echo/Unary")
        self.collect = channel.stream_unary("/peers.Echo/Collect")
        self.count = channel.unary_stream("/peers.Echo/Count")
        self.chat = channel.stream_stream("/peers.Echo/Chat")
        self.missing = channel.unary_unary("/peers.Echo/Missing")


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"{found!r} instead of {wanted!r}")


def fails(call, code, details=None):
    try:
        found = call()
    except grpc.RpcError as error:
        expect(error.code(), code)
        if details is not None:
            expect(error.details(), details)
        return error
    raise AssertionError(f"{found!r} instead of {code}")


def case_unary(echo):
    for body in (b"", b"x", b"y" * 100_000):
        expect(echo.unary(body, timeout=DEADLINE), body)


def case_large(echo):
    body = bytes(range(256)) * (64 << 10)
    expect(echo.unary(body, timeout=DEADLINE), body)


def case_client_streaming(echo):
    expect(echo.collect((b"x" * 1000 for _ in range(500)), timeout=DEADLINE), b"500 500000")
    expect(echo.collect(iter(()), timeout=DEADLINE), b"0 0")


def case_server_streaming(echo):
    answers = [int(answer) for answer in echo.count(b"1000", timeout=DEADLINE)]
    expect(answers, list(range(1000)))
    expect(list(echo.count(b"0", timeout=DEADLINE)), [])


def case_chat(echo):
    # Each message is sent only after the answer to the one before: nothing on the way may hold it back.
    turn = threading.Semaphore(1)

    def messages():
        for index in range(50):
            turn.acquire()
            yield str(index).encode()

    index = 0
    for answer in echo.chat(messages(), timeout=DEADLINE):
        expect(answer, b"re: " + str(index).encode())
        index += 1
        turn.release()
    expect(index, 50)


def case_metadata(echo):
    sent = (("x-echo-text", "value"), ("x-echo-bin", b"\x00\xff\x10"))
    body, call = echo.unary.with_call(b"m", timeout=DEADLINE, metadata=sent)
    expect(body, b"m")
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    expect((initial["x-initial"], initial["x-bytes-bin"]), ("first", b"\x00\x01\xff"))
    expect((initial["x-seen-x-echo-text"], initial["x-seen-x-echo-bin"]), ("value", b"\x00\xff\x10"))
    expect((trailing["x-trailing"], trailing["x-trailing-bin"]), ("last", b"\xfe\x00"))


def case_errors(echo):
    for name, message in (("NOT_FOUND", "no such thing"), ("INTERNAL", "100% é"), ("UNAVAILABLE", "")):
        fail = (("x-fail", f"{name}:{message}"),) if message.isascii() else (("x-fail", f"{name}:100%"),)
        wanted = message if message.isascii() else "100%"
        error = fails(lambda: echo.unary(b"", timeout=DEADLINE, metadata=fail), grpc.StatusCode[name], wanted)
        expect(dict(error.trailing_metadata())["x-trailing"], "last")
    fails(lambda: list(echo.count(b"3", timeout=DEADLINE, metadata=(("x-fail", "ABORTED:stop"),))),
          grpc.StatusCode.ABORTED, "stop")
    fails(lambda: echo.missing(b"", timeout=DEADLINE), grpc.StatusCode.UNIMPLEMENTED)


def case_deadline(echo):
    sleepy = (("x-sleep", "60"),)
    fails(lambda: echo.unary(b"", timeout=0.3, metadata=sleepy), grpc.StatusCode.DEADLINE_EXCEEDED)


def case_cancel(echo):
    calls = echo.count(b"-1")
    expect(int(next(calls)), 0)
    expect(int(next(calls)), 1)
    calls.cancel()
    fails(lambda: list(calls), grpc.StatusCode.CANCELLED)


def case_many(echo):
    futures = [echo.unary.future(str(index).encode() * 100, timeout=DEADLINE) for index in range(500)]
    for index, future in enumerate(futures):
        expect(future.result(), str(index).encode() * 100)


def case_unreachable(echo):
    """Against a proxy whose upstream is away."""
    fails(lambda: echo.unary(b"", timeout=DEADLINE), grpc.StatusCode.UNAVAILABLE)


def case_unrouted(echo):
    """Against a proxy without a route for the method."""
    fails(lambda: echo.unary(b"", timeout=DEADLINE), grpc.StatusCode.UNIMPLEMENTED)


def main():
    address, names = sys.argv[1], sys.argv[2:]
    with grpc.insecure_channel(address, options=LIMITS) as channel:
        echo = Echo(channel)
        for name in names:
            globals()["case_" + name](echo)
            print("passed", name, flush=True)


main()
