"""POST /v1/webhooks/stripe with FastAPI: the one transaction of `stripe_webhook`, for events about payment intents.

POST /nothing is the least a server can be: it takes the same body and answers.
"""

import base64
import gc
import hashlib
import json
import os
import socket
import time
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from uuid import UUID

import asyncpg
import stripe
import uvicorn
from common import ENVIRONMENT, SQL, metric, moment, new_id, rfc3339
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

SECRET = json.loads(ENVIRONMENT["PEER_STRIPE"])["platform"][0]
SEALING = json.loads(ENVIRONMENT["PEER_SEALING"])["keys"][0]
HEADER = b"\x01" + SEALING["id"].to_bytes(4, "big")
SEALER = AESGCM(
    HKDF(hashes.SHA256(), 32, salt=b"", info=b"satchel:v1:webhook-body").derive(base64.b64decode(SEALING["key"]))
)
STATUSES = {
    "requires_confirmation": ("open", 0, 0),
    "requires_action": ("open", 0, 0),
    "processing": ("processing", 0, 1),
    "requires_capture": ("processing", 0, 1),
    "canceled": ("canceled", 1, 0),
    "succeeded": ("succeeded", 2, 0),
}
BEGUN = {"open": 1, "processing": 2, "failed": 3, "canceled": 3, "succeeded": 4}
STATES = ("created", "open", "processing", "failed", "paid")

pool = None


class Connection(asyncpg.Connection):
    """As the pool's own, without the round trip that sets a connection back: nothing here outlives a transaction."""

    def get_reset_query(self):
        return ""


@asynccontextmanager
async def lifespan(_):
    global pool
    count = int(ENVIRONMENT["PEER_CONNECTIONS"])
    pool = await asyncpg.create_pool(
        host=ENVIRONMENT["PEER_DB_HOST"],
        port=int(ENVIRONMENT["PEER_DB_PORT"]),
        database=ENVIRONMENT["PEER_DB_NAME"],
        user=ENVIRONMENT["PEER_DB_USER"],
        password=ENVIRONMENT["PEER_DB_PASSWORD"],
        ssl=False,
        min_size=count,
        max_size=count,
        connection_class=Connection,
    )
    gc.collect()
    gc.freeze()
    yield
    await pool.close()


app = FastAPI(lifespan=lifespan)


def part(data):
    return len(data).to_bytes(8, "big") + data


PLACE = part(b"webhook_events") + part(b"body_sealed")


def seal(row_id, body):
    nonce = os.urandom(12)
    return HEADER + nonce + SEALER.encrypt(nonce, body, PLACE + part(row_id.bytes) + HEADER)


def standing(intent):
    """The status as we have it, its finality and its rank."""
    if intent.status == "requires_payment_method":
        return ("failed", 0, 2) if intent.last_payment_error else ("open", 0, 0)
    return STATUSES.get(intent.status, (intent.status, 0, -1))


def heard(event):
    """What the event says of its intent, as a row of payment_objects."""
    intent = event.data.object
    status, finality, rank = standing(intent)
    try:
        reference = UUID(intent.metadata["payment_id"])
    except (KeyError, TypeError, ValueError):
        reference = None
    return {
        "object_id": intent.id,
        "root_id": intent.id,
        "reference": reference,
        "payment_id": None,
        "status": status,
        "amount_minor": intent.amount_received if status == "succeeded" else intent.amount,
        "asked_minor": None,
        "currency": intent.currency,
        "finality": finality,
        "seen_at": datetime.fromtimestamp(event.created, timezone.utc),
        "rank": rank,
        "refetch_at": None,
    }


def merge(before, word, now):
    """What is on record once it is heard: the greater standing counts."""
    if before is None:
        return word
    order = [(one["finality"], one["seen_at"], one["rank"]) for one in (before, word)]
    kept = dict(word if order[1] > order[0] else before)
    if order[0] == order[1] and before["amount_minor"] != word["amount_minor"]:
        kept["refetch_at"] = now
    kept["reference"] = before["reference"] or word["reference"]
    kept["payment_id"] = before["payment_id"]
    return kept


def derive(objects):
    """What a payment is that rests on intents alone."""
    far = max((BEGUN.get(one["status"], 0) for one in objects), default=0)
    return STATES[far], sum(one["amount_minor"] for one in objects if one["status"] == "succeeded")


def key(account, name):
    return int.from_bytes(hashlib.sha256(f"stripe\n{account}\n{name}".encode()).digest()[:8], "big", signed=True)


async def lock(db, account, word):
    names = {word["object_id"], word["root_id"]} | ({str(word["reference"])} if word["reference"] else set())
    await db.execute(SQL["lock"], sorted(key(account, name) for name in names))


async def observe(db, account, event, word, now_us):
    now, object_id = moment(now_us), word["object_id"]
    known = await db.fetch(SQL["known"], "stripe", account, [object_id, word["root_id"]])
    one = merge(next((row for row in known if row["object_id"] == object_id), None), word, now)
    claimed = one["payment_id"] or one["reference"]
    payment = await db.fetchrow(SQL["hold"], claimed, "stripe", account) if claimed else None
    if payment and not one["payment_id"]:
        agrees = payment["currency"] == one["currency"]
        payment = payment if agrees else None
    if payment and not one["payment_id"]:
        one["payment_id"] = payment["id"]
    values = (one["root_id"], one["reference"], one["payment_id"], one["status"], one["amount_minor"])
    stood = (one["asked_minor"], 0, one["currency"], False, one["finality"], one["seen_at"], one["rank"], one["refetch_at"], now)
    await db.execute(SQL["object"], "stripe", account, object_id, "payment_intent", *values, *stood)
    if word["status"] == "succeeded" and word["amount_minor"]:
        made_at = datetime.fromtimestamp(event.data.object.created, timezone.utc)
        moved = ([new_id(now_us)], [object_id], ["payment"], [object_id], [word["amount_minor"]], [word["currency"]])
        await db.execute(SQL["moved"], "stripe", account, *moved, [made_at], now)
    if payment:
        await follow(db, payment, now_us)


async def follow(db, payment, now_us):
    now = moment(now_us)
    state, received = derive(await db.fetch(SQL["objects"], payment["id"]))
    if state == payment["state"] and received == payment["received_minor"]:
        return
    paid = state == "paid"
    await db.execute(SQL["payment"], payment["id"], state, received, 0, False, False, paid, paid, now)
    if paid != payment["entitled"]:
        topic = "entitlement.granted" if paid else "entitlement.revoked"
        ids = {"payment_id": str(payment["id"]), "user_id": str(payment["user_id"])}
        payload = json.dumps(ids | {"state": state, "late": False, "manually_marked": False})
        about = (topic, str(payment["id"]), payment["version"] + 1, payload, now)
        await db.execute(SQL["message"], new_id(now_us), *about)


async def take_in(event, body, now_us):
    """True when the event is new."""
    now, row_id = moment(now_us), new_id(now_us)
    account = getattr(event, "account", None) or ""
    row = ("stripe", account, "", event.id, event.type, event.data.object.id, event.livemode, event.api_version)
    happened_at = datetime.fromtimestamp(event.created, timezone.utc)
    fate = ("done", 0, None, None, now, now)
    async with pool.acquire() as db:
        await db.execute("START TRANSACTION")
        try:
            written = await db.execute(SQL["event"], row_id, *row, happened_at, seal(row_id, body), *fate)
            word = heard(event)
            await lock(db, account, word)
            is_new = written == "INSERT 0 1"
            if not is_new:
                change = ("stripe", account, "", event.id, "done", None, None, now, 0)
                is_new = await db.execute(SQL["redirect"], *change) == "UPDATE 1"
            if is_new:
                await observe(db, account, event, word, now_us)
        except BaseException:
            await db.execute("ROLLBACK")
            raise
        await db.execute("COMMIT")
    return is_new


@app.post("/v1/webhooks/stripe")
async def stripe_webhook(request: Request):
    started, now_us = time.perf_counter_ns(), time.time_ns() // 1000
    request_id, status, answer = str(new_id(now_us)), 200, {"received": True}
    body = await request.body()
    try:
        event = stripe.Webhook.construct_event(body, request.headers.get("stripe-signature"), SECRET)
        is_new = await take_in(event, body, now_us)
        metric("stripe_webhook", "WebhookReceived" if is_new else "WebhookRepeated", now_us)
    except Exception as error:
        status = 400 if isinstance(error, stripe.SignatureVerificationError) else 503
        answer = {"success": False, "error": type(error).__name__, "message": str(error), "requestId": request_id}
    line = {
        "timestamp": rfc3339(moment(now_us)),
        "level": "INFO",
        "target": "access",
        "function": "stripe_webhook",
        "request_id": request_id,
        "route": "POST /v1/webhooks/stripe",
        "status": status,
        "duration_us": (time.perf_counter_ns() - started) // 1000,
    }
    os.write(1, json.dumps(line).encode() + b"\n")
    return JSONResponse(answer, status, {"x-request-id": request_id, "cache-control": "no-store"})


@app.post("/nothing")
async def nothing(request: Request):
    await request.body()
    return JSONResponse({})


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
settings = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
settings.timeout_keep_alive = 3600
os.write(1, f"listening on {listener.getsockname()[1]}\n".encode())
uvicorn.Server(settings).run(sockets=[listener])
