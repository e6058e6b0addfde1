"""Signs and verifies with PyPI's `stripe`: one list of jobs on standard input, one list of results on standard output.

Bodies are base64, so that they arrive as the bytes they are.
"""

import base64
import json
import sys

import stripe

CLIENT = stripe.StripeClient("sk_test_that_calls_nobody")


def sign(job):
    body = base64.b64decode(job["body"]).decode()
    return {"header": stripe.WebhookSignature.generate_signature_header(body, job["secret"], job["at"])}


def verify(job):
    body = base64.b64decode(job["body"])
    is_thin = json.loads(body)["object"] == "v2.core.event"
    read = CLIENT.parse_event_notification if is_thin else stripe.Webhook.construct_event
    try:
        return {"event": read(body, job["header"], job["secret"]).id}
    except stripe.SignatureVerificationError as error:
        return {"refused": type(error).__name__}


json.dump([verify(job) if "header" in job else sign(job) for job in json.load(sys.stdin)], sys.stdout)
