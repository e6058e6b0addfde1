"""POST /v1/challenges in Python."""

import os
from datetime import timedelta

from peer import ENVIRONMENT, SIGN_IN, SQL, Refused, body_of, connection, count, did_of, metric, moment, new_id
from peer import rfc3339, serve

DOMAIN = ENVIRONMENT["APP_DOMAIN"]
LIFETIME = int(ENVIRONMENT["CHALLENGE_TTL_SECONDS"])


async def answer(event, now_us):
    body = body_of(event)
    did = did_of(body)
    kind = body.get("challenge_type")
    if kind not in SIGN_IN:
        raise Refused(400, "VALIDATION_FAILED", "challenge_type")
    db = await connection()
    await count(db, "challenge", event["requestContext"]["http"]["sourceIp"], did, now_us)

    issued_at = moment(now_us)
    expires_at = issued_at + timedelta(seconds=LIFETIME)
    issued = now_us // 1_000_000
    await db.execute("START TRANSACTION")
    try:
        challenge_id = new_id(now_us)
        title = (
            f"satchel-login:v1\ndomain: {DOMAIN}\npurpose: {kind}\ndid: {did}\nchallenge: {challenge_id}\n"
            f"nonce: {os.urandom(32).hex()}\nissued: {issued}\nexpires: {issued + LIFETIME}"
        )
        values = (challenge_id, did, kind, title, None, None, None, None, issued_at, expires_at)
        await db.execute(SQL["create"], *values)
    except BaseException:
        await db.execute("ROLLBACK")
        raise
    await db.execute("COMMIT")
    metric("create_challenge", "ChallengeCreated", now_us)
    return {"challenge": {"challenge_id": str(challenge_id), "title": title, "expires_at": rfc3339(expires_at)}}


handler = serve("create_challenge", answer)
