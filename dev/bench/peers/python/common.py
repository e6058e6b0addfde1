"""What every peer shares: the statements, ids, times, metrics."""

import json
import os
from datetime import datetime, timedelta, timezone
from uuid import UUID

ENVIRONMENT = os.environ
with open(os.path.join(ENVIRONMENT["PEER_DIRECTORY"], "statements.json"), encoding="utf-8") as file:
    SQL = json.load(file)

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def new_id(now_us):
    """UUIDv7."""
    raw = bytearray((now_us // 1000).to_bytes(6, "big") + os.urandom(10))
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


def moment(now_us):
    return EPOCH + timedelta(microseconds=now_us)


def rfc3339(at):
    return at.isoformat().replace("+00:00", "Z")


def metric(function, name, now_us):
    directive = {"Namespace": "Satchel", "Dimensions": [["Function"]], "Metrics": [{"Name": name, "Unit": "Count"}]}
    aws = {"Timestamp": now_us // 1000, "CloudWatchMetrics": [directive]}
    os.write(1, json.dumps({"_aws": aws, "Function": function, name: 1}).encode() + b"\n")
