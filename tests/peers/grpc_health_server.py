"""A gRPC server with grpcio's own health service and nothing else.

Prints its port. Each line `SERVICE STATUS` on standard input sets what a service says, and is printed when it is set;
without a service the line begins with a blank.
"""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        service, status = line.rstrip("\n").split(" ")
        servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        print(line, end="", flush=True)
    server.stop(None)


main()
