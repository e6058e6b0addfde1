"""What both endpoints of signing in share: the loop, the connection, the statements, requests in and answers out."""

import asyncio
import gc
import hashlib
import json
import os
import re
import time
from datetime import timedelta

import asyncpg
import uvloop
from common import ENVIRONMENT, EPOCH, SQL, metric, moment, new_id, rfc3339

__all__ = ["ENVIRONMENT", "SQL", "metric", "moment", "new_id", "rfc3339"]

WINDOW = 60
MNEMONIC = re.compile(r"did:mnemonic:(?:[0-9a-f]{16}|[0-9a-f]{64})")
SIGN_IN = frozenset(
    ("default_registration", "litd_account_creation", "mnemonic_login", "qrcode_login", "privkey_login")
    + ("securestorage_login",)
)
PER_DID = int(ENVIRONMENT["RATE_LIMIT_SIGN_IN_PER_DID"])
PER_ADDRESS = int(ENVIRONMENT["RATE_LIMIT_SIGN_IN_PER_ADDRESS"])

loop = uvloop.new_event_loop()
asyncio.set_event_loop(loop)
_connection = None


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


async def connection():
    """The one connection, made on first use; asyncpg keeps its statements prepared."""
    global _connection
    if _connection is None or _connection.is_closed():
        _connection = await asyncpg.connect(
            host=ENVIRONMENT["PEER_DB_HOST"],
            port=int(ENVIRONMENT["PEER_DB_PORT"]),
            database=ENVIRONMENT["PEER_DB_NAME"],
            user=ENVIRONMENT["PEER_DB_USER"],
            password=ENVIRONMENT["PEER_DB_PASSWORD"],
            ssl=False,
        )
    return _connection


def body_of(event):
    try:
        body = json.loads(event["body"])
    except ValueError:
        raise Refused(400, "MALFORMED_REQUEST", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "VALIDATION_FAILED", "the body is not an object")
    data = body.get("data")
    return data if isinstance(data, dict) else body


def did_of(body):
    did = body.get("did")
    if not isinstance(did, str) or not MNEMONIC.fullmatch(did):
        raise Refused(400, "VALIDATION_FAILED", "did")
    return did


async def count(db, scope, address, did, now_us):
    """Counts the request against both limits, in a transaction of its own."""
    seconds = now_us // 1_000_000
    window = EPOCH + timedelta(seconds=seconds - seconds % WINDOW)
    keys = [
        hashlib.sha256(f"{scope}:did\n{address}\n{did}".encode()).digest(),
        hashlib.sha256(f"{scope}\n{address}".encode()).digest(),
    ]
    counts = await db.fetchval(SQL["count"], keys, window)
    if counts[0] > PER_DID or counts[1] > PER_ADDRESS:
        raise Refused(429, "RATE_LIMITED", "too many requests")


def serve(function, answer):
    """Makes the handler: one access line for each request, every answer in one form."""
    gc.collect()
    gc.freeze()

    def handler(event, context):
        started = time.perf_counter_ns()
        now_us = time.time_ns() // 1000
        request_id = event["requestContext"]["requestId"]
        try:
            status, body = 200, loop.run_until_complete(answer(event, now_us))
        except Refused as refused:
            status = refused.status
            body = {"success": False, "error": refused.code, "message": refused.message, "requestId": request_id}
        line = {
            "timestamp": rfc3339(moment(now_us)),
            "level": "INFO",
            "target": "access",
            "function": function,
            "request_id": request_id,
            "route": event["routeKey"],
            "status": status,
            "duration_us": (time.perf_counter_ns() - started) // 1000,
        }
        os.write(1, json.dumps(line).encode() + b"\n")
        headers = {"content-type": "application/json", "x-request-id": request_id, "cache-control": "no-store"}
        return {"statusCode": status, "headers": headers, "body": json.dumps(body), "isBase64Encoded": False}

    return handler
