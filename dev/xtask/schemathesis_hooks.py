"""What schemathesis does and checks beyond the description.

Every refusal has the one error body, whoever refuses. What looks like an event of Stripe's is signed, every other time:
behind the signature there is more to break.
"""

import hashlib
import hmac
import json
import os
import re
import time

import schemathesis

FIELDS = {"error", "message", "requestId", "timestamp"}
STRIPE_SECRETS = {
    "/v1/webhooks/stripe": os.environ.get("STRIPE_PLATFORM_SECRET"),
    "/v1/webhooks/stripe/connect": os.environ.get("STRIPE_CONNECT_SECRET"),
}
SIGNATURE = re.compile("t=[0-9]+,v[0-9]+=[0-9a-f]{63}[02468ace]")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    secret = STRIPE_SECRETS.get(case.operation.path)
    given = (case.headers or {}).get("Stripe-Signature")
    # One that is left out, or is none, stays so.
    if not secret or not isinstance(given, str) or not SIGNATURE.match(given):
        return

    def sign(request):
        body = request.body or b""
        if isinstance(body, str):
            body = body.encode()
        now = str(int(time.time()))
        mac = hmac.new(secret.encode(), b"%s.%s" % (now.encode(), body), hashlib.sha256)
        request.headers["Stripe-Signature"] = f"t={now},v1={mac.hexdigest()}"
        return request

    # The body has its bytes only when the request is put together.
    kwargs["auth"] = sign


@schemathesis.check
def the_one_error_form(ctx, response, case):
    if 200 <= response.status_code < 300:
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
