"""A gRPC client of an `xds:///` target, without a proxy: $GRPC_XDS_BOOTSTRAP_CONFIG says whom it asks where that is.

For each line on standard input, the name of a service, it asks grpcio's health service for that service, and prints the
status, or the code and the reason of the failure.
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

# Of one call, the first of which waits for the control plane.
DEADLINE = 30


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for line in sys.stdin:
            request = health_pb2.HealthCheckRequest(service=line.rstrip("\n"))
            try:
                answer = health.Check(request, timeout=DEADLINE)
                print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status), flush=True)
            except grpc.RpcError as error:
                print(error.code().name, error.details(), flush=True)


main()
