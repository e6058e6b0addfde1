"""What schemathesis does and checks beyond the description.

Every refusal has the one error body, whoever refuses. What looks like an event of Stripe's is signed, every other time:
behind the signature there is more to break. So there is behind the door: whoever calls signs in, with a node, and again
whenever what they tried has ended their session; and every other time it is their own things that they ask about.
"""

import atexit
import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import secrets
import threading
import time
import uuid

import requests
import schemathesis

FIELDS = {"error", "message", "requestId", "timestamp"}
STRIPE_SECRETS = {
    "/v1/webhooks/stripe": os.environ.get("STRIPE_PLATFORM_SECRET"),
    "/v1/webhooks/stripe/connect": os.environ.get("STRIPE_CONNECT_SECRET"),
}
SIGNATURE = re.compile("t=[0-9]+,v[0-9]+=[0-9a-f]{63}[02468ace]")
WORLD = json.loads(os.environ.get("FUZZ_WORLD") or "null")
COUNT = os.environ.get("FUZZ_COUNT")

calls = itertools.count()


class Caller:
    """Somebody with a node, and the ids that are theirs."""

    def __init__(self, world):
        self.api, self.sandbox, self.admin = world["api"], world["sandbox"], world["admin"]
        self.did, self.node = world["did"], world["node"]
        self.others = world.get("others")
        self.lock = threading.Lock()
        self.token, self.own = None, {}

    def session(self):
        with self.lock:
            if self.token is None:
                self.sign_in()
            return self.token, self.own

    def lost(self, token):
        """The session has ended; so, perhaps, has the account."""
        with self.lock:
            if self.token == token:
                self.token = None

    def sign_in(self):
        answer = self.try_to_sign_in()
        if answer.status_code != 200 and not self.admin:
            self.did = "did:mnemonic:" + secrets.token_hex(32)
            made = requests.post(f"{self.sandbox}/sandbox/nodes", json={"name": "fuzz" + secrets.token_hex(8)})
            self.node = made.json()
            answer = self.try_to_sign_in()
        answer.raise_for_status()
        self.token = answer.json()["data"]["accessToken"]
        claims = self.token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        self.own = {"user": claims["sub"], "session": claims["sid"], "did": self.did}

    def try_to_sign_in(self):
        asked = {"did": self.did, "challenge_type": "default_registration"}
        challenge = requests.post(f"{self.api}/v1/challenges", json=asked).json()["challenge"]
        text = base64.b64encode(challenge["title"].encode()).decode()
        macaroon = {"grpc-metadata-macaroon": self.node["admin_macaroon"]}
        signed = requests.post(f"{self.node['base_url']}/v1/signmessage", json={"msg": text}, headers=macaroon)
        answer = {"did": self.did, "challenge_id": challenge["challenge_id"], "signature": signed.json()["signature"]}
        return requests.post(f"{self.api}/v1/challenges/verify", json=answer)


CALLER = Caller(WORLD) if WORLD else None


def whose(case, own):
    """The ids in this case's path, made to be the caller's; an administrator's, too, look at somebody else."""
    if CALLER.admin and CALLER.others:
        # Whoever deletes themselves is no administrator any more.
        own = CALLER.others
    given = case.path_parameters or {}
    users = case.operation.path.startswith("/v1/users/")
    ids = {"userId": own["user"], "id": own["user"] if users else own["session"], "did": own["did"]}
    for name in given:
        if name in ids:
            given[name] = ids[name]


def deletes_themselves(case, own):
    """An id that was read in an answer before may be an administrator's own, and there is no other."""
    if not CALLER.admin or case.operation.path != "/v1/users/{id}" or case.method.upper() != "DELETE":
        return False
    try:
        return uuid.UUID(str((case.path_parameters or {}).get("id"))) == uuid.UUID(own["user"])
    except ValueError:
        return False


@schemathesis.hook
def before_call(ctx, case, kwargs):
    number = next(calls)
    secret = STRIPE_SECRETS.get(case.operation.path)
    given = (case.headers or {}).get("Stripe-Signature")
    # One that is left out, or is none, stays so.
    signs = secret and isinstance(given, str) and SIGNATURE.match(given)
    token = None
    if CALLER:
        token, own = CALLER.session()
        if number % 2 or deletes_themselves(case, own):
            whose(case, own)

    def finish(request):
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        if signs:
            # The body has its bytes only when the request is put together.
            body = request.body or b""
            if isinstance(body, str):
                body = body.encode()
            now = str(int(time.time()))
            mac = hmac.new(secret.encode(), b"%s.%s" % (now.encode(), body), hashlib.sha256)
            request.headers["Stripe-Signature"] = f"t={now},v1={mac.hexdigest()}"
        return request

    if token or signs:
        kwargs["auth"] = finish


@schemathesis.hook
def after_call(ctx, case, response):
    if CALLER and response.status_code == 401:
        sent = str(response.request.headers.get("Authorization", ""))
        CALLER.lost(sent.removeprefix("Bearer "))


@atexit.register
def tell_how_many():
    if COUNT:
        with open(COUNT, "w", encoding="ascii") as file:
            file.write(str(next(calls)))


@schemathesis.check
def the_one_error_form(ctx, response, case):
    # Discord's authorization is gone to by a redirect.
    if 200 <= response.status_code < 400:
        return
    # A HEAD request is answered without a body.
    if case.method.upper() == "HEAD":
        return
    try:
        body = json.loads(response.content)
    except ValueError:
        raise AssertionError(f"{response.status_code} without a JSON body: {response.content[:200]!r}") from None
    missing = FIELDS - {name for name, value in body.items() if isinstance(value, str)}
    assert not missing, f"the error lacks {sorted(missing)}: {body}"
    assert body.get("success") is False, f"the error claims success: {body}"
    request_ids = response.headers.get("x-request-id")
    assert request_ids == [body["requestId"]], f"x-request-id {request_ids} is not {body['requestId']}"
