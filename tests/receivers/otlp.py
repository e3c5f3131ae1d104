"""A receiver of OTLP, made of what others wrote: OpenTelemetry's stubs, gRPC, Python's HTTP server.

Usage: otlp.py GRPC_ADDRESS HTTP_ADDRESS [--tls DIR] [--refuse N]
       otlp.py --read FILE

Prints one JSON object for each request that it takes, with what it read in it. --tls DIR takes ca.pem, server.pem and
server.key from there and asks clients for a certificate. --refuse N answers the first N requests over gRPC with
UNAVAILABLE and RetryInfo, over HTTP with 429 and Retry-After. --read prints the same of a file of profiles.
"""

import argparse
import gzip
import http.server
import json
import ssl
import sys
import threading
from concurrent import futures

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.profiles.v1development import profiles_service_pb2, profiles_service_pb2_grpc
from opentelemetry.proto.profiles.v1development import profiles_pb2

LOCK = threading.Lock()
LEFT_TO_REFUSE = {"grpc": 0, "http": 0}
KEPT_HEADERS = ("idempotency-key", "x-scope-orgid", "authorization", "user-agent", "content-encoding")


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
    reading["protocol"] = protocol
    reading["headers"] = {key.lower(): value for key, value in headers if key.lower() in KEPT_HEADERS}
    with LOCK:
        print(json.dumps(reading), flush=True)


def refuses(protocol):
    with LOCK:
        is_refused = LEFT_TO_REFUSE[protocol] > 0
        LEFT_TO_REFUSE[protocol] -= is_refused
        return is_refused


def export(read, answer):
    def body(_, request, context):
        if refuses("grpc"):
            detail = any_pb2.Any()
            detail.Pack(error_details_pb2.RetryInfo(retry_delay=duration_pb2.Duration(nanos=1_000_000)))
            status = status_pb2.Status(code=14, message="come again", details=[detail])
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "come again")
        tell("grpc", [(it.key, it.value) for it in context.invocation_metadata()], read(request))
        return answer()
    return body


class Profiles(profiles_service_pb2_grpc.ProfilesServiceServicer):
    Export = export(read_profiles, profiles_service_pb2.ExportProfilesServiceResponse)


class Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    Export = export(read_metrics, metrics_service_pb2.ExportMetricsServiceResponse)


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
        tell("http", self.headers.items(), read(message.FromString(body)))
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
    arguments = arguments.parse_args()
    if arguments.read:
        with open(arguments.read, "rb") as file:
            print(json.dumps(read_profiles(profiles_pb2.ProfilesData.FromString(file.read()))))
        return
    LEFT_TO_REFUSE.update(grpc=arguments.refuse, http=arguments.refuse)

    over_grpc = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    profiles_service_pb2_grpc.add_ProfilesServiceServicer_to_server(Profiles(), over_grpc)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(Metrics(), over_grpc)
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
