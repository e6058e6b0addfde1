"""A request on its way to Postgres and back: the two pools, limits, refusals, the access line."""

import gc
import hashlib
import json
import os
import time
from contextlib import asynccontextmanager

import asyncpg
from common import ENVIRONMENT, moment, new_id, rfc3339
from fastapi.responses import JSONResponse

WINDOW_US = 60_000_000
QUOTA = 1_000_000

pools = {}


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Connection(asyncpg.Connection):
    """As the pool's own, without the round trip that sets a connection back: nothing here outlives a transaction."""

    def get_reset_query(self):
        return ""


@asynccontextmanager
async def lifespan(_):
    count = int(ENVIRONMENT["PEER_CONNECTIONS"])
    for role in ("AUTH", "API"):
        pools[role] = await asyncpg.create_pool(
            host=ENVIRONMENT["PEER_DB_HOST"],
            port=int(ENVIRONMENT["PEER_DB_PORT"]),
            database=ENVIRONMENT["PEER_DB_NAME"],
            user=ENVIRONMENT[f"PEER_DB_{role}_USER"],
            password=ENVIRONMENT[f"PEER_DB_{role}_PASSWORD"],
            ssl=False,
            min_size=count,
            max_size=count,
            connection_class=Connection,
        )
    gc.collect()
    gc.freeze()
    yield
    for pool in pools.values():
        await pool.close()


class Call:
    """A request on its way: when it came, from where, and its id."""

    def __init__(self, request, function):
        self.started, self.now_us = time.perf_counter_ns(), time.time_ns() // 1000
        self.now, self.id = moment(self.now_us), str(new_id(self.now_us))
        self.request, self.function = request, function
        self.address = request.headers.get("x-bench-address") or request.client.host

    @property
    def agent(self):
        agent = self.request.headers.get("user-agent")
        return agent and agent[:256]

    def answer(self, status, body, headers=None):
        line = {
            "timestamp": rfc3339(self.now),
            "level": "INFO",
            "target": "access",
            "function": self.function,
            "request_id": self.id,
            "route": f"{self.request.method} {self.request.url.path}",
            "status": status,
            "duration_us": (time.perf_counter_ns() - self.started) // 1000,
        }
        os.write(1, json.dumps(line).encode() + b"\n")
        about = {"x-request-id": self.id, "cache-control": "no-store"}
        return JSONResponse(body, status, about | (headers or {}))

    def refuse(self, error):
        body = {"success": False, "error": error.code, "message": error.message, "requestId": self.id}
        return self.answer(error.status, body)


def unauthenticated():
    return Refused(401, "UNAUTHENTICATED", "a valid access token is needed")


def limit_key(scope, subject):
    return hashlib.sha256(f"{scope}\n{subject}".encode()).digest()


def window(now_us):
    return moment(now_us - now_us % WINDOW_US)


def judge(counts):
    if any(count > QUOTA for count in counts):
        raise Refused(429, "RATE_LIMITED", "too many requests")


@asynccontextmanager
async def transaction(role):
    async with pools[role].acquire() as db:
        await db.execute("START TRANSACTION")
        try:
            yield db
        except BaseException:
            await db.execute("ROLLBACK")
            raise
        await db.execute("COMMIT")


def at(time_):
    return time_ and rfc3339(time_)
