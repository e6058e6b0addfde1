"""What a session's refresh tokens are made of: a key of its own, sealed in its row, and MACs with it."""

import base64
import hmac
import json
import os
from collections import namedtuple
from uuid import UUID

from common import ENVIRONMENT
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SEALING = json.loads(ENVIRONMENT["PEER_SEALING"])["keys"][0]
HEADER = b"\x01" + SEALING["id"].to_bytes(4, "big")
SEALER = AESGCM(
    HKDF(hashes.SHA256(), 32, salt=b"", info=b"satchel:v1:refresh-key").derive(base64.b64decode(SEALING["key"]))
)


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


def tag_of(session_id, count, key):
    return mac(key, (b"\x01", session_id.bytes, count.to_bytes(8, "big")))[:16]


def refresh_token(session_id, count, key):
    raw = b"\x01" + session_id.bytes + count.to_bytes(8, "big") + tag_of(session_id, count, key)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


Presented = namedtuple("Presented", ("session_id", "count", "tag"))


def parse_refresh_token(text):
    """None for what cannot be one."""
    if len(text) != 55:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=")
    except ValueError:
        return None
    if len(raw) != 41 or raw[0] != 1:
        return None
    return Presented(UUID(bytes=raw[1:17]), int.from_bytes(raw[17:25], "big"), raw[25:])


def is_made_with(presented, key):
    return hmac.compare_digest(presented.tag, tag_of(presented.session_id, presented.count, key))
