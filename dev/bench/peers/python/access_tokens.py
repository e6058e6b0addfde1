"""Access tokens, checked and made with PyJWT."""

import json

import jwt
from calls import pools, unauthenticated
from common import ENVIRONMENT, SQL, moment, new_id
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ISSUER, AUDIENCE = ENVIRONMENT["ISSUER_URL"], ENVIRONMENT["TOKEN_AUDIENCE"]
ACCESS_TTL = int(ENVIRONMENT["ACCESS_TTL_SECONDS"])
KEYS_KEPT_US = 60_000_000
# Parsed once.
SIGNING = {
    key["kid"]: (key["alg"], load_pem_private_key(key["private_key"].encode(), None))
    for key in json.loads(ENVIRONMENT["PEER_SIGNING"])["keys"]
}

_published = (0, ())


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
