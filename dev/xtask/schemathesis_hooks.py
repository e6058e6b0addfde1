"""What schemathesis checks beyond the description: every refusal has the one error body, whoever refuses."""

import json

import schemathesis

FIELDS = {"error", "message", "requestId", "timestamp"}


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
