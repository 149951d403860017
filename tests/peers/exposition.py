"""Reads an exposition from standard input, as Prometheus' Python client does, and prints a line for each family: its name,
type, unit and number of samples. The argument is the format: text, or openmetrics, whose parser is strict."""

import sys

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

parsers = {"text": parser, "openmetrics": openmetrics}
read = parsers[sys.argv[1]].text_string_to_metric_families
for family in read(sys.stdin.read()):
    print(family.name, family.type, family.unit, len(family.samples), sep="\t")
