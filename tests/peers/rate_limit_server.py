"""A rate limit service over gRPC without generated code: messages are bytes.

Prints its port. Lets the first three questions of each wording pass, and says of all others that they are over the limit.
"""

from collections import Counter
from concurrent import futures
from threading import Lock

import grpc

# RateLimitResponse { overall_code: OK } and { overall_code: OVER_LIMIT }.
WITHIN = b"\x08\x01"
OVER = b"\x08\x02"
AT_MOST = 3

seen = Counter()
lock = Lock()


def should_rate_limit(request, context):
    with lock:
        seen[request] += 1
        return WITHIN if seen[request] <= AT_MOST else OVER


handlers = {"ShouldRateLimit": grpc.unary_unary_rpc_method_handler(should_rate_limit)}
service = grpc.method_handlers_generic_handler("envoy.service.ratelimit.v3.RateLimitService", handlers)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
server.add_generic_rpc_handlers((service,))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
server.wait_for_termination()
