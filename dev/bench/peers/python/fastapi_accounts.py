"""The four endpoints with FastAPI, asyncpg and PyJWT: the statements of our functions, which asyncpg keeps prepared.

POST /v1/nothing is the least a server can be: it takes the same body and answers.
"""

import asyncio
import base64
import gc
import hashlib
import hmac
import json
import os
import re
import socket
import time
import unicodedata
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_address
from typing import Literal
from uuid import UUID

import asyncpg
import jwt
import uvicorn
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from common import ENVIRONMENT, SQL, metric, moment, new_id, rfc3339
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

ISSUER, AUDIENCE = ENVIRONMENT["ISSUER_URL"], ENVIRONMENT["TOKEN_AUDIENCE"]
ACCESS_TTL = int(ENVIRONMENT["ACCESS_TTL_SECONDS"])
IDLE = timedelta(days=int(ENVIRONMENT["SESSION_IDLE_DAYS"]))
ABSOLUTE = timedelta(days=int(ENVIRONMENT["SESSION_ABSOLUTE_DAYS"]))
GRACE = timedelta(seconds=60)
KEYS_KEPT_US = 60_000_000
WINDOW_US = 60_000_000
QUOTA = 1_000_000
EMAIL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+")

# Everything that can be parsed or derived once is.
SIGNING = {
    key["kid"]: (key["alg"], load_pem_private_key(key["private_key"].encode(), None))
    for key in json.loads(ENVIRONMENT["PEER_SIGNING"])["keys"]
}
SEALING = json.loads(ENVIRONMENT["PEER_SEALING"])["keys"][0]
HEADER = b"\x01" + SEALING["id"].to_bytes(4, "big")
SEALER = AESGCM(
    HKDF(hashes.SHA256(), 32, salt=b"", info=b"satchel:v1:refresh-key").derive(base64.b64decode(SEALING["key"]))
)
AUDIT_KEY = base64.b64decode(json.loads(ENVIRONMENT["PEER_AUDIT"])["key"])
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

pools = {}
_published = (0, ())


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


app = FastAPI(lifespan=lifespan)


class Refresh(BaseModel):
    refreshToken: str


class NewSession(BaseModel):
    userId: UUID | None = None
    deviceId: str | None = Field(None, min_length=1, max_length=128)
    platform: Literal["web", "ios", "android"] | None = None
    idempotencyKey: str | None = Field(None, min_length=1, max_length=255)


class Login(BaseModel):
    email: str = Field(max_length=254)
    password: str = Field(max_length=4096)


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


def rejected():
    return Refused(401, "REFRESH_REJECTED", "this refresh token is not good; sign in again")


def limit_key(scope, subject):
    return hashlib.sha256(f"{scope}\n{subject}".encode()).digest()


def window(now_us):
    return moment(now_us - now_us % WINDOW_US)


def judge(counts):
    if any(count > QUOTA for count in counts):
        raise Refused(429, "RATE_LIMITED", "too many requests")


def part(data):
    return len(data).to_bytes(8, "big") + data


PLACE = part(b"sessions") + part(b"refresh_key_sealed")


def seal(session_id, key):
    nonce = os.urandom(12)
    return HEADER + nonce + SEALER.encrypt(nonce, key, PLACE + part(session_id.bytes) + HEADER)


def unseal(session_id, sealed):
    return SEALER.decrypt(sealed[5:17], sealed[17:], PLACE + part(session_id.bytes) + sealed[:5])


def mac(key, parts):
    return hmac.digest(key, b"".join(part(piece) for piece in parts), "sha256")


def refresh_token(session_id, count, key):
    counter = count.to_bytes(8, "big")
    tag = mac(key, (b"\x01", session_id.bytes, counter))[:16]
    return base64.urlsafe_b64encode(b"\x01" + session_id.bytes + counter + tag).rstrip(b"=").decode()


def parse_refresh_token(text):
    if len(text) != 55:
        raise rejected()
    try:
        raw = base64.urlsafe_b64decode(text + "=")
    except ValueError:
        raise rejected() from None
    if len(raw) != 41 or raw[0] != 1:
        raise rejected()
    return UUID(bytes=raw[1:17]), raw[17:25], raw[25:]


async def published(now_us):
    """The published keys, read once a minute."""
    global _published
    if now_us - _published[0] >= KEYS_KEPT_US:
        rows = await pools["API"].fetch(SQL["keys"], moment(now_us))
        keys = [(row["kid"], row["sign_at"], jwt.PyJWK(json.loads(row["jwk"]))) for row in rows]
        _published = (now_us, keys)
    return _published[1]


async def claims_of(call):
    scheme, _, token = call.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or len(token) > 4096:
        raise unauthenticated()
    try:
        header = jwt.get_unverified_header(token)
        known = next((key for kid, _, key in await published(call.now_us) if kid == header.get("kid")), None)
        if known is None or header.get("typ") != "at+jwt" or "crit" in header:
            raise unauthenticated()
        algorithm = "ES256" if known.key_type == "EC" else "RS256"
        return jwt.decode(token, known.key, [algorithm], audience=AUDIENCE, issuer=ISSUER, leeway=5)
    except jwt.InvalidTokenError:
        raise unauthenticated() from None


async def access_token(user_id, session_id, admin, now_us):
    now = moment(now_us)
    kid = next(kid for kid, sign_at, _ in await published(now_us) if sign_at <= now)
    algorithm, private = SIGNING[kid]
    issued = now_us // 1_000_000
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(user_id), "sid": str(session_id)}
    claims |= {"jti": str(new_id(now_us)), "iat": issued, "nbf": issued, "exp": issued + ACCESS_TTL}
    claims["scope"] = "user admin" if admin else "user"
    return jwt.encode(claims, private, algorithm, headers={"typ": "at+jwt", "kid": kid})


def tokens(user_id, session_id, access, refresh):
    both = {"accessToken": access, "refreshToken": refresh, "tokenType": "Bearer", "expiresIn": ACCESS_TTL}
    return both | {"sessionId": str(session_id), "userId": str(user_id)}


async def record(db, call, user_id, about, details):
    chain = str(user_id)
    head = await db.fetchrow(SQL["head"], chain)
    seq, audit_id = head["count"] + 1, new_id(call.now_us)
    texts = (*about, json.dumps(details, separators=(",", ":")), call.address, call.id)
    parts = (b"row", head["link"], chain.encode(), seq.to_bytes(8, "big"), audit_id.bytes, chain.encode())
    link = mac(AUDIT_KEY, parts + tuple(text.encode() for text in texts) + (call.now_us.to_bytes(16, "big"),))
    row = (chain, seq, audit_id, user_id, *texts[:4], ip_address(call.address), call.id, call.now, link)
    await db.execute(SQL["audit"], *row)


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


@app.exception_handler(RequestValidationError)
async def invalid(request, error):
    return JSONResponse({"success": False, "error": "VALIDATION_FAILED", "message": str(error)}, 400)


@app.get("/v1/auth/me")
async def get_me(request: Request):
    call = Call(request, "get_me")
    try:
        claims = await claims_of(call)
        admin = claims["scope"] == "user admin"
        limits = (limit_key("session", claims["sid"]), window(call.now_us), QUOTA)
        ids = (UUID(claims["sub"]), UUID(claims["sid"]))
        row = await pools["API"].fetchrow(SQL["me"], *ids, call.now, admin, *limits)
        judge((row["requests"],))
        if row["id"] is None:
            raise unauthenticated()
    except Refused as error:
        return call.refuse(error)
    answer = {
        "id": str(row["id"]),
        "displayName": row["display_name"],
        "email": row["email"],
        "emailVerified": row["email_verified"],
        "discordId": row["discord_id"],
        "discordUsername": row["discord_username"],
        "privyId": row["privy_id"],
        "pubkey": row["pubkey"],
        "dids": row["dids"],
        "version": row["version"],
        "isAdmin": row["is_admin"],
        "sessionId": claims["sid"],
        "createdAt": at(row["created_at"]),
        "updatedAt": at(row["updated_at"]),
        "lastLoginAt": at(row["last_login_at"]),
        "lastActiveAt": at(row["last_active_at"]),
    }
    if row["username"] is not None:
        answer["username"] = row["username"]
    return call.answer(200, answer, {"etag": f'"v{row["version"]}"'})


@app.post("/v1/auth/refresh")
async def refresh_session(request: Request, body: Refresh):
    call = Call(request, "refresh_session")
    try:
        return call.answer(200, await refresh(call, body))
    except Refused as error:
        return call.refuse(error)


async def refresh(call, body):
    session_id, counter, tag = parse_refresh_token(body.refreshToken)
    count = int.from_bytes(counter, "big")
    limits = [limit_key("refresh:session", session_id), limit_key("refresh", call.address)]
    row = await pools["AUTH"].fetchrow(SQL["refreshable"], limits, window(call.now_us), session_id, call.now)
    judge(row["counts"])
    if row["id"] is None:
        raise rejected()
    key = unseal(session_id, row["refresh_key_sealed"])
    if not hmac.compare_digest(tag, mac(key, (b"\x01", session_id.bytes, counter))[:16]):
        raise rejected()
    if row["is_deleted"]:
        raise Refused(403, "ACCOUNT_DELETED", "this account is deleted")
    behind = row["refresh_counter"] - count
    # Ending a session that is in two hands is not measured.
    is_good = behind == 0 or (behind == 1 and call.now - row["refreshed_at"] <= GRACE)
    if row["has_ended"] or not is_good:
        raise rejected()
    access = await access_token(row["user_id"], session_id, row["is_admin"], call.now_us)
    answer = tokens(row["user_id"], session_id, access, refresh_token(session_id, count + 1, key))
    if behind == 0:
        rotated = await pools["AUTH"].execute(SQL["rotate"], session_id, count, call.now, call.now + IDLE)
        if rotated != "UPDATE 1":
            raise Refused(503, "UNAVAILABLE", "somebody was quicker")
    return answer


@app.post("/v1/sessions")
async def create_session(request: Request, body: NewSession):
    call = Call(request, "sessions")
    try:
        answer = await open_child(call, body)
    except Refused as error:
        return call.refuse(error)
    return call.answer(201, answer, {"location": f"/v1/sessions/{answer['id']}"})


async def open_child(call, body):
    claims = await claims_of(call)
    user_id, parent_id = UUID(claims["sub"]), UUID(claims["sid"])
    limits = [limit_key("session", claims["sid"])]
    judge(await pools["API"].fetchval(SQL["count"], limits, window(call.now_us)))
    session_id, key, now = new_id(call.now_us), os.urandom(32), call.now
    async with transaction("API") as db:
        admin = claims["scope"] == "user admin"
        if await db.fetchrow(SQL["enter"], user_id, parent_id, now, admin) is None:
            raise unauthenticated()
        if body.userId is not None and body.userId != user_id:
            raise Refused(403, "FORBIDDEN", "a session is made by its owner")
        lives = (now + IDLE, now + ABSOLUTE, ip_address(call.address), call.agent)
        device = (body.deviceId, body.platform, body.idempotencyKey)
        values = (session_id, user_id, parent_id, seal(session_id, key), now, *lives, *device)
        row = await db.fetchrow(SQL["child"], *values)
        if row is None:
            raise unauthenticated()
        about = ("session.created", "session", str(session_id))
        await record(db, call, user_id, about, {"parent": str(parent_id), "platform": body.platform})
    return {
        "id": str(session_id),
        "userId": str(user_id),
        "status": "active",
        "deviceId": row["device_id"],
        "platform": row["platform"],
        "identityKind": row["identity_kind"],
        "parentId": str(row["parent_id"]),
        "ip": str(row["ip"]),
        "userAgent": row["user_agent"],
        "hasPushToken": row["has_push_token"],
        "createdAt": at(row["created_at"]),
        "lastSeenAt": at(row["last_seen_at"]),
        "idleExpiresAt": at(row["idle_expires_at"]),
        "absoluteExpiresAt": at(row["absolute_expires_at"]),
        "revokedAt": at(row["revoked_at"]),
        "revokedReason": row["revoked_reason"],
        "isCurrent": False,
        "refreshToken": refresh_token(session_id, 0, key),
    }


@app.post("/v1/auth/login")
async def login(request: Request, body: Login):
    call = Call(request, "login")
    try:
        return call.answer(200, await sign_in(call, body))
    except Refused as error:
        return call.refuse(error)


def is_right(stored, password):
    if stored is None:
        HASHER.hash(password)
        return False
    try:
        return HASHER.verify(stored, password)
    except VerifyMismatchError:
        return False


async def sign_in(call, body):
    email = body.email.lower()
    if not EMAIL.fullmatch(email):
        raise Refused(400, "VALIDATION_FAILED", "email")
    limits = [
        limit_key("login:address:account", f"{call.address}\n{email}"),
        limit_key("login", call.address),
        limit_key("login:account", email),
    ]
    judge(await pools["AUTH"].fetchval(SQL["count"], limits, window(call.now_us)))
    account = await pools["AUTH"].fetchrow(SQL["by_email"], email)
    stored = account and account["hash"]
    # Hashing lets the other threads run.
    if not await asyncio.to_thread(is_right, stored, unicodedata.normalize("NFKC", body.password)):
        raise Refused(401, "INVALID_CREDENTIALS", "the e-mail address or the password is wrong")
    user_id, session_id, key, now = account["user_id"], new_id(call.now_us), os.urandom(32), call.now
    async with transaction("AUTH") as db:
        noted = await db.fetchrow(SQL["signed_in"], user_id, now)
        if noted is None:
            raise Refused(403, "ACCOUNT_DELETED", "this account is deleted")
        if await db.fetchrow(SQL["hold_password"], user_id, stored) is None:
            raise Refused(503, "UNAVAILABLE", "the password changed")
        who = (session_id, user_id, "email", email, None, None, seal(session_id, key), now)
        lives = (now + IDLE, now + ABSOLUTE, ip_address(call.address), call.agent)
        await db.execute(SQL["session"], *who, *lives, None, None)
        access = await access_token(user_id, session_id, noted["admin"], call.now_us)
        await record(db, call, user_id, ("session.created", "session", str(session_id)), {"by": "email"})
    metric("login", "SignInAccepted", call.now_us)
    return tokens(user_id, session_id, access, refresh_token(session_id, 0, key))


class Nothing(BaseModel):
    deviceId: str
    platform: str


@app.post("/v1/nothing")
async def nothing(body: Nothing):
    return JSONResponse({})


listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
settings = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="warning")
settings.timeout_keep_alive = 3600
os.write(1, f"listening on {listener.getsockname()[1]}\n".encode())
uvicorn.Server(settings).run(sockets=[listener])
