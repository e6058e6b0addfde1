"""The four endpoints with FastAPI, asyncpg and PyJWT: the statements of our functions, which asyncpg keeps prepared.

POST /v1/nothing is the least a server can be: it takes the same body and answers.
"""

import asyncio
import base64
import json
import os
import re
import socket
import unicodedata
from datetime import timedelta
from ipaddress import ip_address
from typing import Literal
from uuid import UUID

import uvicorn
from access_tokens import access_token, claims_of, tokens
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from calls import QUOTA, Call, Refused, at, judge, lifespan, limit_key, pools, transaction, unauthenticated, window
from common import ENVIRONMENT, SQL, metric, new_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sealed import is_made_with, mac, parse_refresh_token, refresh_token, seal, unseal

IDLE = timedelta(days=int(ENVIRONMENT["SESSION_IDLE_DAYS"]))
ABSOLUTE = timedelta(days=int(ENVIRONMENT["SESSION_ABSOLUTE_DAYS"]))
GRACE = timedelta(seconds=60)
EMAIL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[a-z0-9-]+(?:\.[a-z0-9-]+)+")

AUDIT_KEY = base64.b64decode(json.loads(ENVIRONMENT["PEER_AUDIT"])["key"])
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

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


def rejected():
    return Refused(401, "REFRESH_REJECTED", "this refresh token is not good; sign in again")


async def record(db, call, user_id, about, details):
    chain = str(user_id)
    head = await db.fetchrow(SQL["head"], chain)
    seq, audit_id = head["count"] + 1, new_id(call.now_us)
    texts = (*about, json.dumps(details, separators=(",", ":")), call.address, call.id)
    parts = (b"row", head["link"], chain.encode(), seq.to_bytes(8, "big"), audit_id.bytes, chain.encode())
    link = mac(AUDIT_KEY, parts + tuple(text.encode() for text in texts) + (call.now_us.to_bytes(16, "big"),))
    row = (chain, seq, audit_id, user_id, *texts[:4], ip_address(call.address), call.id, call.now, link)
    await db.execute(SQL["audit"], *row)


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
    presented = parse_refresh_token(body.refreshToken)
    if presented is None:
        raise rejected()
    session_id, count = presented.session_id, presented.count
    limits = [limit_key("refresh:session", session_id), limit_key("refresh", call.address)]
    row = await pools["AUTH"].fetchrow(SQL["refreshable"], limits, window(call.now_us), session_id, call.now)
    judge(row["counts"])
    if row["id"] is None:
        raise rejected()
    key = unseal(session_id, row["refresh_key_sealed"])
    if not is_made_with(presented, key):
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
    ]
    for keys in (limits, [limit_key("login:account", email)]):
        judge(await pools["AUTH"].fetchval(SQL["count"], keys, window(call.now_us)))
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
