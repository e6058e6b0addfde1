/// What an error code of an event means, and what an operator does about it.
pub fn advice(code: &str) -> &'static str {
    match code {
        "UNREADABLE" => "its object is not what this build reads: replay it with one that does",
        "UNKNOWN_TYPE" => "of a type that concerns nothing here",
        "WRONG_LIVEMODE" => "a test event at a live deployment, or the other way round: see STRIPE_LIVEMODE",
        "WRONG_ENDPOINT" => "sent to the endpoint of the other kind: see the webhook endpoints at Stripe",
        "NOT_APPLIED" => "our database refused what follows from it: see the log of process_webhook_events",
        "NOT_CONFIGURED" => "switch the provider on, then replay it",
        "UNOPENED" => "put the key it was sealed with back into satchel/sealing, then replay it",
        "GIVEN_UP" => {
            "whoever took it up never came back: see the log of process_webhook_events around its tries"
        }
        "DISMISSED" => {
            "it was dead, and an operator laid it to rest: webhook.dismissed in the audit log says what it died of"
        }
        _ if code.ends_with("_KEY_REFUSED") => {
            "put a key that is good into the provider's secret, then replay it"
        }
        _ if code.ends_with("_KEY_UNAVAILABLE") => {
            "see why Secrets Manager does not give the key out, then replay it"
        }
        _ if ["_UNAVAILABLE", "_TIMED_OUT", "_BREAKER_OPEN"].iter().any(|away| code.ends_with(away)) => {
            "the provider was away: replay it when it is back"
        }
        "STRIPE_ACCOUNT_REFUSED" => "the account was disconnected from ours: replay it if it comes back",
        _ if code.ends_with("_CERTIFICATE_REFUSED") => "see whose certificate that is, then replay it",
        _ if ["_REJECTED", "_UNEXPECTED_ANSWER"].iter().any(|odd| code.ends_with(odd)) => {
            "see the provider's words in the log of process_webhook_events, then replay it"
        }
        _ if code.ends_with("_NOT_FOUND") => "the provider no longer has what it is about",
        _ => "a code of a later build, or of none: see the log of process_webhook_events",
    }
}
