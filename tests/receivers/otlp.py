"""A receiver of OTLP, made of what others wrote: OpenTelemetry's stubs, gRPC, Python's HTTP server.

Usage: otlp.py GRPC_ADDRESS HTTP_ADDRESS [--tls DIR] [--refuse N] [--ledger FILE] [--mode FILE]
       otlp.py --read FILE

Prints one JSON object for each request that it takes, with what it read in it. --tls DIR takes ca.pem, server.pem and
server.key from there and asks clients for a certificate. --refuse N answers the first N requests over gRPC with
UNAVAILABLE and RetryInfo, over HTTP with 429 and Retry-After. --read prints the same of a file of profiles.

--ledger FILE prints nothing, and adds a line for each request, whatever the answer, which waits until it is on disk.
--mode FILE is read at each request and says how it is answered: ok (also without the file), 429 (come again), 500
(never), garbage, freeze (no answer until the mode is another), close (none at all).
"""

import argparse
import gzip
import hashlib
import http.server
import json
import os
import ssl
import sys
import threading
import time
from concurrent import futures

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2
from opentelemetry.proto.profiles.v1development import profiles_pb2

LOCK = threading.Lock()
LEFT_TO_REFUSE = {"grpc": 0, "http": 0}
KEPT_HEADERS = ("idempotency-key", "x-scope-orgid", "authorization", "user-agent", "content-encoding")
FILES = {"ledger": None, "mode": None}
MODES = ("ok", "429", "500", "garbage", "freeze", "close")
# Neither a message of the protocol nor HTTP.
GARBAGE = b"\x0a\xff\xff\xff\xff\x7f<html>\x00"
AGAIN = {"unavailable": (14, grpc.StatusCode.UNAVAILABLE), "429": (8, grpc.StatusCode.RESOURCE_EXHAUSTED)}
# Longer than a client waits.
LONGEST_FREEZE_S = 120


def value_of(any_value):
    return getattr(any_value, any_value.WhichOneof("value") or "string_value")


def resource_of(resource):
    return {attribute.key: value_of(attribute.value) for attribute in resource.attributes}


def read_profiles(request):
    tables = request.dictionary
    text = tables.string_table
    totals, functions, threads, n_samples, resources, ids = {}, set(), set(), 0, [], []
    for resource_profiles in request.resource_profiles:
        resources.append(resource_of(resource_profiles.resource))
        for scope_profiles in resource_profiles.scope_profiles:
            for profile in scope_profiles.profiles:
                kind = f"{text[profile.sample_type.type_strindex]}/{text[profile.sample_type.unit_strindex]}"
                ids.append(profile.profile_id.hex())
                for sample in profile.samples:
                    n_samples += 1
                    totals[kind] = totals.get(kind, 0) + sum(sample.values)
                    for index in sample.attribute_indices:
                        attribute = tables.attribute_table[index]
                        if text[attribute.key_strindex] == "thread.name":
                            threads.add(value_of(attribute.value))
                    for location in tables.stack_table[sample.stack_index].location_indices:
                        for line in tables.location_table[location].lines:
                            functions.add(text[tables.function_table[line.function_index].name_strindex])
    return {
        "signal": "profiles", "totals": totals, "samples": n_samples, "functions": sorted(functions),
        "threads": sorted(threads), "resources": resources, "ids": ids,
    }


def read_metrics(request):
    values, resources = {}, []
    for resource_metrics in request.resource_metrics:
        resources.append(resource_of(resource_metrics.resource))
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                data = getattr(metric, metric.WhichOneof("data"))
                for point in data.data_points:
                    labels = ",".join(f"{it.key}={value_of(it.value)}" for it in point.attributes)
                    values[f"{metric.name}{{{labels}}} {metric.unit}"] = getattr(point, point.WhichOneof("value"))
    return {"signal": "metrics", "values": values, "resources": resources}


def tell(protocol, headers, reading):
    if FILES["ledger"] is not None:
        return
    reading["protocol"] = protocol
    reading["headers"] = {key.lower(): value for key, value in headers if key.lower() in KEPT_HEADERS}
    with LOCK:
        print(json.dumps(reading), flush=True)


def refuses(protocol):
    with LOCK:
        is_refused = LEFT_TO_REFUSE[protocol] > 0
        LEFT_TO_REFUSE[protocol] -= is_refused
        return is_refused


def mode():
    try:
        with open(FILES["mode"]) as file:
            word = file.read().strip()
    except (OSError, TypeError):
        return "ok"
    return word if word in MODES else "ok"


def wait_while_frozen():
    end = time.monotonic() + LONGEST_FREEZE_S
    while mode() == "freeze" and time.monotonic() < end:
        time.sleep(0.05)


def note(protocol, headers, reading, answer, body):
    """One write, so that a line is whole or the last."""
    if FILES["ledger"] is None:
        return
    headers = {key.lower(): value for key, value in headers}
    line = {
        "unix_ns": time.time_ns(), "protocol": protocol, "answer": answer, "key": headers.get("idempotency-key"),
        "digest": hashlib.sha256(body).hexdigest(), "signal": reading["signal"],
        "totals": reading.get("totals", {}), "samples": reading.get("samples", 0),
        "values": reading.get("values", {}), "resources": reading["resources"],
    }
    with LOCK:
        os.write(FILES["ledger"], (json.dumps(line) + "\n").encode())
        os.fsync(FILES["ledger"])


def export(read, answer):
    def body(request, context):
        headers = [(it.key, it.value) for it in context.invocation_metadata()]
        reading, word = read(request), mode()
        if refuses("grpc"):
            word = "unavailable"
        note("grpc", headers, reading, word, request.SerializeToString(deterministic=True))
        if word == "freeze":
            wait_while_frozen()
            word = "close"
        if word in ("unavailable", "429"):
            code, name = AGAIN[word]
            detail = any_pb2.Any()
            detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=1_000_000)))
            status = status_pb2.Status(code=code, message="come again", details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(name, "come again")
        if word == "500":
            context.abort(grpc.StatusCode.INTERNAL, "something is wrong here")
        if word == "close":
            context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
        if word == "garbage":
            return GARBAGE
        tell("grpc", headers, reading)
        return answer().SerializeToString()
    return body


def service(descriptor, read, request, answer):
    """By hand, and not by the servicer of the stubs, which sends nothing but messages."""
    method = grpc.unary_unary_rpc_method_handler(
        export(read, answer), request_deserializer=request.FromString, response_serializer=bytes
    )
    return grpc.method_handlers_generic_handler(descriptor.full_name, {"Export": method})


SERVICES = (
    service(
        profiles_service_pb2.DESCRIPTOR.services_by_name["ProfilesService"], read_profiles,
        profiles_service_pb2.ExportProfilesServiceRequest, profiles_service_pb2.ExportProfilesServiceResponse,
    ),
    service(
        metrics_service_pb2.DESCRIPTOR.services_by_name["MetricsService"], read_metrics,
        metrics_service_pb2.ExportMetricsServiceRequest, metrics_service_pb2.ExportMetricsServiceResponse,
    ),
)
PATHS = {
    "/v1development/profiles": (read_profiles, profiles_service_pb2.ExportProfilesServiceRequest),
    "/v1/metrics": (read_metrics, metrics_service_pb2.ExportMetricsServiceRequest),
}


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if refuses("http"):
            return self.reply(429, [("Retry-After", "0")])
        if self.path not in PATHS:
            return self.reply(404, [])
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        read, message = PATHS[self.path]
        request = message.FromString(body)
        reading, word = read(request), mode()
        note("http", self.headers.items(), reading, word, request.SerializeToString(deterministic=True))
        if word == "freeze":
            wait_while_frozen()
        if word in ("freeze", "close"):
            self.close_connection = True
        elif word == "garbage":
            self.wfile.write(GARBAGE)
            self.close_connection = True
        elif word == "429":
            self.reply(429, [("Retry-After", "1")])
        elif word == "500":
            self.reply(500, [])
        else:
            tell("http", self.headers.items(), reading)
            self.reply(200, [("Content-Type", "application/x-protobuf")])

    def reply(self, status, headers):
        self.send_response(status)
        for header in [*headers, ("Content-Length", "0")]:
            self.send_header(*header)
        self.end_headers()

    def log_message(self, *_):
        pass


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("grpc", nargs="?")
    arguments.add_argument("http", nargs="?")
    arguments.add_argument("--read")
    arguments.add_argument("--tls")
    arguments.add_argument("--refuse", type=int, default=0)
    arguments.add_argument("--ledger")
    arguments.add_argument("--mode")
    arguments = arguments.parse_args()
    if arguments.read:
        with open(arguments.read, "rb") as file:
            print(json.dumps(read_profiles(profiles_pb2.ProfilesData.FromString(file.read()))))
        return
    LEFT_TO_REFUSE.update(grpc=arguments.refuse, http=arguments.refuse)

    FILES["mode"] = arguments.mode
    if arguments.ledger:
        FILES["ledger"] = os.open(arguments.ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        # The last line of one that was killed may be cut.
        os.write(FILES["ledger"], b"\n")

    # Those that wait for an answer to thaw must not keep others from being asked.
    over_grpc = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
    over_grpc.add_generic_rpc_handlers(SERVICES)
    host, port = arguments.http.rsplit(":", 1)
    over_http = http.server.ThreadingHTTPServer((host, int(port)), Http)
    if arguments.tls:
        ca, certificate, key = (f"{arguments.tls}/{name}" for name in ("ca.pem", "server.pem", "server.key"))
        pairs = [(open(key, "rb").read(), open(certificate, "rb").read())]
        over_grpc.add_secure_port(
            arguments.grpc, grpc.ssl_server_credentials(pairs, open(ca, "rb").read(), require_client_auth=True)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
        over_http.socket = context.wrap_socket(over_http.socket, server_side=True)
    else:
        over_grpc.add_insecure_port(arguments.grpc)
    over_grpc.start()
    print("ready", file=sys.stderr, flush=True)
    over_http.serve_forever()


main()
