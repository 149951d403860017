"""An authorization service over gRPC without generated code: messages are bytes.

Prints its port. Allows what holds the text `token-good`, denies what does not, and fails with UNAVAILABLE what holds
`token-broken`.
"""

from concurrent import futures

import grpc

# CheckResponse { status { code: 0 } } and { status { code: 7 } }.
ALLOWED = b"\x0a\x00"
DENIED = b"\x0a\x02\x08\x07"


def check(request, context):
    if b"token-broken" in request:
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
    return ALLOWED if b"token-good" in request else DENIED


handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
service = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", handlers)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
server.add_generic_rpc_handlers((service,))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
