"""A receiver of OTLP over gRPC that does as little as it can, and counts: what it costs falls on the same machine as
what is measured.

Usage: count.py ADDRESS

Says `ready` on stderr and takes everything. On SIGTERM it reads what it has got, and prints one JSON object:
for each signal the requests, the bytes on the wire (what TCP has brought, with all headers) and the bytes of messages
(uncompressed), the samples by event, and the last values of the metrics of the sender itself.
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

LOCK = threading.Lock()
MESSAGES = {"profiles": [], "metrics": []}
WIRE_BYTES = {"profiles": 0, "metrics": 0}
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
            WIRE_BYTES[name] += sum(BY_CONNECTION.values()) - before
            MESSAGES[name].append(message)
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
    event = "faults" if any(word.startswith(GROWTH) for word in words) else "cpu"
    counts = [profile for profile, word in zip(profiles, words) if word == "samples"]
    return event, sum(sum(sample.values) for profile in counts for sample in profile.samples)


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

    samples, metrics = {"cpu": 0, "faults": 0}, {}
    for message in MESSAGES["profiles"]:
        event, n_samples = samples_of(message)
        samples[event] += n_samples
    for message in MESSAGES["metrics"]:
        own_metrics(message, metrics)
    found = {
        name: {
            "requests": len(messages), "wire_bytes": WIRE_BYTES[name],
            "message_bytes": sum(len(message) for message in messages),
        }
        for name, messages in MESSAGES.items()
    }
    print(json.dumps({**found, "samples": samples, "values": metrics}))


main()
