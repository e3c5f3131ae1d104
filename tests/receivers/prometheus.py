"""Reads metrics with the parsers of Prometheus' own client for Python.

Usage: prometheus.py CONTENT_TYPE < TEXT

Prints one JSON object: each metric by its name, with type, unit, help and samples.
"""

import json
import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

chosen = openmetrics if sys.argv[1].startswith("application/openmetrics-text") else parser
text = sys.stdin.buffer.read().decode("utf-8")
metrics = {}
for family in chosen.text_string_to_metric_families(text):
    # A parser of the older form has a family for each sample of a counter.
    metric = metrics.setdefault(family.name, {
        "type": family.type, "unit": family.unit, "help": family.documentation, "samples": [],
    })
    metric["samples"] += [
        {"name": sample.name, "labels": sample.labels, "value": sample.value} for sample in family.samples
    ]
print(json.dumps(metrics))
