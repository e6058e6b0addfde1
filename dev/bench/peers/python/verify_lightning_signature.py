"""POST /v1/challenges/verify in Python: sign-in of an account that has the DID."""

import base64
import hashlib
import hmac
import json
import os
from datetime import timedelta
from ipaddress import ip_address
from uuid import UUID

import coincurve
import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from peer import ENVIRONMENT, SIGN_IN, SQL, Refused, body_of, connection, count, did_of, metric, moment, new_id, serve

ISSUER, AUDIENCE = ENVIRONMENT["ISSUER_URL"], ENVIRONMENT["TOKEN_AUDIENCE"]
ACCESS_TTL = int(ENVIRONMENT["ACCESS_TTL_SECONDS"])
IDLE = timedelta(days=int(ENVIRONMENT["SESSION_IDLE_DAYS"]))
ABSOLUTE = timedelta(days=int(ENVIRONMENT["SESSION_ABSOLUTE_DAYS"]))
KEYS_KEPT_US = 60_000_000
MAX_WRONG_ANSWERS = 10

# Everything that can be parsed or derived once is.
SIGNING = {
    key["kid"]: (key["alg"], load_pem_private_key(key["private_key"].encode(), None))
    for key in json.loads(ENVIRONMENT["PEER_SIGNING"])["keys"]
}
SEALING = json.loads(ENVIRONMENT["PEER_SEALING"])["keys"][0]
SEALING_ID = SEALING["id"].to_bytes(4, "big")
SEALER = AESGCM(
    HKDF(hashes.SHA256(), 32, salt=b"", info=b"satchel:v1:refresh-key").derive(base64.b64decode(SEALING["key"]))
)
AUDIT_KEY = base64.b64decode(json.loads(ENVIRONMENT["PEER_AUDIT"])["key"])

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
# zbase32 is base32 with other letters.
TO_BASE32 = bytes.maketrans(b"ybndrfg8ejkmcpqxot1uwisza345h769", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
ZBASE32 = frozenset(b"ybndrfg8ejkmcpqxot1uwisza345h769")

_published = (0, ())


def recover(title, signature):
    """The compressed key, in hex, that made the signature over the text."""
    raw = signature.encode() if isinstance(signature, str) else b""
    if len(raw) != 104 or not ZBASE32.issuperset(raw):
        raise Refused(401, "SIGNATURE_REJECTED", "form")
    packed = base64.b32decode(raw.translate(TO_BASE32))
    header, r, s = packed[0], int.from_bytes(packed[1:33], "big"), int.from_bytes(packed[33:], "big")
    if not (31 <= header <= 34 and 0 < r < ORDER and 0 < s <= ORDER // 2):
        raise Refused(401, "SIGNATURE_REJECTED", "range")
    digest = hashlib.sha256(hashlib.sha256(b"Lightning Signed Message:" + title.encode()).digest()).digest()
    compact = packed[1:] + bytes((header - 31,))
    try:
        return coincurve.PublicKey.from_signature_and_message(compact, digest, hasher=None).format().hex()
    except Exception:
        raise Refused(401, "SIGNATURE_REJECTED", "no key") from None


def mac(key, parts):
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "big") + part for part in parts), "sha256")


def seal(session_id, key):
    parts = (b"sessions", b"refresh_key_sealed", session_id.bytes)
    data = b"".join(len(part).to_bytes(8, "big") + part for part in parts) + b"\x01" + SEALING_ID
    nonce = os.urandom(12)
    return b"\x01" + SEALING_ID + nonce + SEALER.encrypt(nonce, key, data)


async def signing_key(db, now_us):
    global _published
    if now_us - _published[0] >= KEYS_KEPT_US:
        _published = (now_us, await db.fetch(SQL["keys"], moment(now_us)))
    now = moment(now_us)
    return next(row["kid"] for row in _published[1] if row["sign_at"] <= now)


async def answer(event, now_us):
    body = body_of(event)
    did = did_of(body)
    try:
        challenge_id = UUID(body["challenge_id"])
    except (KeyError, ValueError, AttributeError):
        raise Refused(400, "VALIDATION_FAILED", "challenge_id") from None
    db = await connection()
    context = event["requestContext"]
    address = context["http"]["sourceIp"]
    await count(db, "verify_lightning_signature", address, did, now_us)

    now = moment(now_us)
    challenge = await db.fetchrow(SQL["find"], challenge_id, did, now)
    if challenge is None:
        raise Refused(410, "CHALLENGE_GONE", "the challenge is unknown, used or expired")
    if challenge["wrong_answers"] >= MAX_WRONG_ANSWERS:
        raise Refused(429, "RATE_LIMITED", "too many wrong answers")
    kind = challenge["challenge_type"]
    signer = recover(challenge["title"], body.get("signature"))
    if kind not in SIGN_IN or challenge["account_pubkey"] != signer:
        raise Refused(401, "SIGNATURE_REJECTED", "another key")
    user_id = challenge["account_id"]

    await db.execute("START TRANSACTION")
    try:
        spent = await db.execute(SQL["confirm"], challenge_id, did, now, MAX_WRONG_ANSWERS)
        if spent != "UPDATE 1":
            raise Refused(410, "CHALLENGE_GONE", "the challenge is used")
        noted = await db.fetchrow(SQL["login"], user_id, now, signer)
        if noted is None or noted["deleted"]:
            raise Refused(410, "CHALLENGE_GONE", "the node was rebound")
        await record(db, context, address, (challenge_id, kind), did, signer, user_id, now_us)
        data = await open_session(db, event, did, signer, user_id, now_us)
    except BaseException:
        await db.execute("ROLLBACK")
        raise
    await db.execute("COMMIT")
    metric("verify_lightning_signature", "SignInAccepted", now_us)
    return {"data": data}


async def open_session(db, event, did, signer, user_id, now_us):
    now, session_id, key = moment(now_us), new_id(now_us), os.urandom(32)
    address = ip_address(event["requestContext"]["http"]["sourceIp"])
    agent = event["headers"].get("user-agent")
    values = (session_id, user_id, "did", did, signer, now, seal(session_id, key), now)
    await db.execute(SQL["session"], *values, now + IDLE, now + ABSOLUTE, address, agent and agent[:256], None, None)
    counter = bytes(8)
    tag = mac(key, (b"\x01", session_id.bytes, counter))[:16]
    refresh = base64.urlsafe_b64encode(b"\x01" + session_id.bytes + counter + tag).rstrip(b"=").decode()

    kid = await signing_key(db, now_us)
    algorithm, private = SIGNING[kid]
    issued = now_us // 1_000_000
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(user_id), "sid": str(session_id)}
    claims |= {"jti": str(new_id(now_us)), "iat": issued, "nbf": issued, "exp": issued + ACCESS_TTL, "scope": "user"}
    access = jwt.encode(claims, private, algorithm, headers={"typ": "at+jwt", "kid": kid})
    tokens = {"customToken": access, "accessToken": access, "refreshToken": refresh}
    return tokens | {"expiresIn": ACCESS_TTL, "did": did, "lightning_pubkey": signer}


async def record(db, context, address, challenge, did, signer, user_id, now_us):
    challenge_id, kind = str(challenge[0]), challenge[1]
    chain = str(user_id)
    head = await db.fetchrow(SQL["head"], chain)
    seq, audit_id, request_id = head["count"] + 1, new_id(now_us), context["requestId"]
    details = json.dumps({"did": did, "pubkey": signer, "type": kind}, separators=(",", ":"))
    texts = ("session.created", "challenge", challenge_id, details, address, request_id)
    parts = (b"row", head["link"], chain.encode(), seq.to_bytes(8, "big"), audit_id.bytes, chain.encode())
    link = mac(AUDIT_KEY, parts + tuple(text.encode() for text in texts) + (now_us.to_bytes(16, "big"),))
    values = (chain, seq, audit_id, user_id, *texts[:4], ip_address(address), request_id, moment(now_us), link)
    await db.execute(SQL["audit"], *values)


handler = serve("verify_lightning_signature", answer)
