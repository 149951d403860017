"""A control plane over grpcio and Envoy's generated types: state of the world and delta, aggregated.

Prints its port, and then a JSON object for each answer of a client: `{"type": "Cluster", "ack": "3"}`, or `nack` with
what the client says in its stead. A line on standard input is a JSON object: `put`, a list of resources (JSON with
`@type`), and `remove`, a list of `[TYPE, NAME]`. All of one line is one change.
"""

import json
import queue
import sys
import threading
from concurrent import futures

import grpc
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2
from google.protobuf import any_pb2, json_format

# Types that resources are made of: whoever is imported is known to `json_format`.
from envoy.config.cluster.v3 import cluster_pb2  # noqa: F401
from envoy.config.endpoint.v3 import endpoint_pb2  # noqa: F401
from envoy.config.listener.v3 import listener_pb2  # noqa: F401
from envoy.config.route.v3 import route_pb2  # noqa: F401
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401
from envoy.extensions.filters.network.http_connection_manager.v3 import (  # noqa: F401
    http_connection_manager_pb2,
)

# In this order a change is sent: what is referred to first.
TYPES = ["Cluster", "ClusterLoadAssignment", "Listener", "RouteConfiguration"]
WILDCARDS = ("Cluster", "Listener")


class World:
    """All resources, each with the number of the change that it came by."""

    def __init__(self):
        self.lock = threading.Lock()
        self.change = 0
        self.held = {kind: {} for kind in TYPES}
        self.streams = []

    def apply(self, document):
        with self.lock:
            self.change += 1
            for resource in document.get("put", ()):
                kind = resource["@type"].rpartition(".")[2]
                name = resource.get("name") or resource["cluster_name"]
                body = json_format.ParseDict(resource, any_pb2.Any())
                self.held[kind][name] = (self.change, body)
            for kind, name in document.get("remove", ()):
                del self.held[kind][name]
            for events in self.streams:
                events.put(None)

    def enter(self, events):
        with self.lock:
            self.streams.append(events)

    def leave(self, events):
        with self.lock:
            self.streams.remove(events)


WORLD = World()


def told(kind, **answer):
    print(json.dumps({"type": kind, **answer}), flush=True)


class Stream:
    """What one stream has of one type."""

    def __init__(self, kind):
        self.kind = kind
        self.names = set()
        self.wildcard = False
        self.has = None
        self.nonce = 0
        self.url = None

    def wanted(self):
        with WORLD.lock:
            held = WORLD.held[self.kind]
            return {name: one for name, one in held.items() if self.wildcard or name in self.names}

    def answered(self, request):
        """Tells how the client took what it was sent last."""
        if request.response_nonce != str(self.nonce):
            return
        if request.HasField("error_detail"):
            told(self.kind, nack=request.error_detail.message)
        else:
            told(self.kind, ack=request.response_nonce)

    def state_of_the_world(self, request):
        self.names = set(request.resource_names)
        self.wildcard = not self.names and self.kind in WILDCARDS
        if request.response_nonce:
            self.answered(request)

    def world(self):
        """The next response, if anything is not as it was sent."""
        wanted = self.wanted()
        versions = {name: change for name, (change, _) in wanted.items()}
        if versions == self.has or (not wanted and not self.wildcard):
            return None
        self.has, self.nonce = versions, self.nonce + 1
        return discovery_pb2.DiscoveryResponse(
            version_info=str(WORLD.change),
            type_url=self.url,
            nonce=str(self.nonce),
            resources=[body for _, body in wanted.values()],
        )

    def delta(self, request):
        if self.has is None:
            self.has = {}
            self.wildcard = not request.resource_names_subscribe and self.kind in WILDCARDS
        self.names |= set(request.resource_names_subscribe)
        self.wildcard |= "*" in self.names
        for name in request.resource_names_unsubscribe:
            self.names.discard(name)
            self.has.pop(name, None)
        if request.response_nonce:
            self.answered(request)

    def difference(self):
        """The same of a stream of changes."""
        wanted = self.wanted()
        changed = [name for name, (change, _) in wanted.items() if self.has.get(name) != change]
        gone = [name for name in self.has if name not in wanted]
        if not changed and not gone:
            return None
        for name in gone:
            del self.has[name]
        self.has.update({name: wanted[name][0] for name in changed})
        self.nonce += 1
        resources = [
            discovery_pb2.Resource(name=name, version=str(wanted[name][0]), resource=wanted[name][1])
            for name in changed
        ]
        return discovery_pb2.DeltaDiscoveryResponse(
            type_url=self.url, nonce=str(self.nonce), resources=resources, removed_resources=gone
        )


def serve(requests, context, take, give):
    events, streams = queue.Queue(), {}
    END = object()

    def read():
        try:
            for request in requests:
                events.put(request)
        except grpc.RpcError:
            pass
        events.put(END)

    threading.Thread(target=read, daemon=True).start()
    WORLD.enter(events)
    try:
        while (event := events.get()) is not END:
            if event is not None:
                kind = event.type_url.rpartition(".")[2]
                if kind not in TYPES:
                    continue
                stream = streams.setdefault(kind, Stream(kind))
                stream.url = event.type_url
                take(stream, event)
            for kind in TYPES:
                if kind in streams and (response := give(streams[kind])) is not None:
                    yield response
    finally:
        WORLD.leave(events)


class Ads(ads_pb2_grpc.AggregatedDiscoveryServiceServicer):
    def StreamAggregatedResources(self, requests, context):
        yield from serve(requests, context, Stream.state_of_the_world, Stream.world)

    def DeltaAggregatedResources(self, requests, context):
        yield from serve(requests, context, Stream.delta, Stream.difference)


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    ads_pb2_grpc.add_AggregatedDiscoveryServiceServicer_to_server(Ads(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    for line in sys.stdin:
        WORLD.apply(json.loads(line))
    server.stop(None)


main()
