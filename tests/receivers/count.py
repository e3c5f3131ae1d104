"""A receiver of OTLP over gRPC that does as little as it can, and counts: what it costs falls on the same machine as
what is measured.

Usage: count.py ADDRESS

Says `ready` on stderr and takes everything. On SIGTERM it reads what it has got, and prints one JSON object: for profiles
of CPU time, for all others and for metrics, each, the requests, the bytes on the wire (what TCP has brought, with all
headers), the bytes of messages (uncompressed) and the samples; and the last values of the metrics of the sender itself.
"""

import json
import os
import signal
import socket
import struct
import sys
import threading
from concurrent import futures

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2

# In `struct tcp_info` of linux/tcp.h.
BYTES_RECEIVED_AT = 128
# Words by which a profile of resident memory is told.
GROWTH = "rss_"

PARTS = ("cpu", "others", "metrics")

LOCK = threading.Lock()
# Each with what came on the wire for it.
MESSAGES = {"profiles": [], "metrics": []}
BY_CONNECTION = {}


def look_at_connections():
    """What every connection that is open has brought so far, by inode: descriptors are used again."""
    for name in os.listdir("/proc/self/fd"):
        try:
            inode = os.readlink(f"/proc/self/fd/{name}")
            if not inode.startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(name))) as it:
                info = it.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        except OSError:
            continue
        if len(info) >= BYTES_RECEIVED_AT + 8:
            BY_CONNECTION[inode] = struct.unpack_from("=Q", info, BYTES_RECEIVED_AT)[0]


def export(name, answer):
    def body(message, _):
        with LOCK:
            before = sum(BY_CONNECTION.values())
            look_at_connections()
            MESSAGES[name].append((message, sum(BY_CONNECTION.values()) - before))
        return answer().SerializeToString()
    return body


def service(descriptor, name, answer):
    # Without functions that read and write, messages stay as bytes.
    method = grpc.unary_unary_rpc_method_handler(export(name, answer))
    return grpc.method_handlers_generic_handler(descriptor.full_name, {"Export": method})


def samples_of(message):
    request = profiles_service_pb2.ExportProfilesServiceRequest.FromString(message)
    text = request.dictionary.string_table
    profiles = [
        profile for of_resource in request.resource_profiles for of_scope in of_resource.scope_profiles
        for profile in of_scope.profiles
    ]
    words = [text[profile.sample_type.type_strindex] for profile in profiles]
    event = "others" if any(word.startswith(GROWTH) for word in words) else "cpu"
    counts = [profile for profile, word in zip(profiles, words) if word == "samples"]
    # Who sends times may leave the values away: then each time is a sample.
    n_of = lambda sample: sum(sample.values) or len(sample.timestamps_unix_nano)
    return event, sum(n_of(sample) for profile in counts for sample in profile.samples)


def own_metrics(message, values):
    request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(message)
    for of_resource in request.resource_metrics:
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                if not metric.name.startswith("brazier."):
                    continue
                points = getattr(metric, metric.WhichOneof("data")).data_points
                values[metric.name] = sum(getattr(point, point.WhichOneof("value")) for point in points)


def main():
    # Before there are threads, so that none of them is asked.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = grpc.server(
        futures.ThreadPoolExecutor(max_workers=2),
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
    )
    server.add_generic_rpc_handlers((
        service(
            profiles_service_pb2.DESCRIPTOR.services_by_name["ProfilesService"], "profiles",
            profiles_service_pb2.ExportProfilesServiceResponse,
        ),
        service(
            metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"], "metrics",
            metrics_service_pb2.ExportMetricsServiceResponse,
        ),
    ))
    server.add_insecure_port(sys.argv[1])
    server.start()
    print("ready", file=sys.stderr, flush=True)
    signal.sigwait({signal.SIGTERM})
    server.stop(grace=1).wait()

    found = {name: dict.fromkeys(("requests", "wire_bytes", "message_bytes", "samples"), 0) for name in PARTS}
    values = {}
    for name, message, wire_bytes in [(name, *one) for name, all in MESSAGES.items() for one in all]:
        n_samples = 0
        if name == "profiles":
            name, n_samples = samples_of(message)
        else:
            own_metrics(message, values)
        part = found[name]
        part["requests"] += 1
        part["wire_bytes"] += wire_bytes
        part["message_bytes"] += len(message)
        part["samples"] += n_samples
    print(json.dumps({**found, "values": values}))


main()
