//! A canary in every place a caller can write to.

use data_encoding::BASE64URL_NOPAD;
use e2e::client::Request;
use e2e::{Owner, Stack, Tokens};
use http::Method;
use serde_json::{Value, json};

use super::canary::Canaries;

/// Requests, each with the name of what is wrong with it.
pub type Requests = Vec<(String, Request)>;

/// Fields of every endpoint that takes a body, and a good body to spoil.
fn bodies(owner: &Owner) -> [(&'static str, Value); 18] {
    let id = "019b9f5e-5c00-7000-8000-000000000001";
    [
        (
            "/v1/challenges",
            json!({"did": owner.did, "challenge_type": "node_rebind", "amount_msat": 1, "destination": "x",
                "new_lightning_pubkey": owner.node.pubkey}),
        ),
        (
            "/v1/challenges/verify",
            json!({"did": owner.did, "challenge_id": id, "signature": "y", "username": "satoshi",
                "lightning_address": "satoshi@localhost"}),
        ),
        ("/v1/nodes", owner.registration()),
        (
            "/v1/nodes/rebind",
            json!({"did": owner.did, "challenge_id": id, "old_signature": "y", "new_signature": "y"}),
        ),
        (
            "/v1/lightning/setup",
            json!({"username": "satoshi", "lightningAddress": "satoshi@localhost", "nodeSource": "voltage"}),
        ),
        ("/v1/invoices", json!({"amount_msat": 1_000, "memo": "two beers", "expiry_seconds": 600})),
        ("/v1/auth/register", json!({"email": "x", "password": "y", "username": "satoshi", "deviceId": "z"})),
        ("/v1/auth/login", json!({"email": "x", "password": "y", "privyToken": "z"})),
        ("/v1/auth/refresh", json!({"refreshToken": "x"})),
        ("/v1/auth/email/verify", json!({"token": "x"})),
        ("/v1/auth/password/forgot", json!({"email": "x"})),
        ("/v1/auth/password/reset", json!({"token": "x", "password": "a good password"})),
        ("/v1/auth/password/change", json!({"currentPassword": "x", "newPassword": "a good password"})),
        ("/v1/auth/identities", json!({"privyToken": "x", "identityToken": "y"})),
        ("/v1/users", json!({"privyId": "x", "email": "y", "displayName": "z"})),
        ("/v1/private-beta/verify", json!({"referralKey": "x", "email": "y"})),
        ("/v1/private-beta/status", json!({"referralKey": "x", "email": "y"})),
        ("/v1/private-beta/referrals/bulk", json!({"count": 0})),
    ]
}

/// Every field of every body: as a text, and as each type it is not.
pub fn fields(stack: &Stack, owner: &Owner, tokens: &Tokens, canaries: &mut Canaries) -> Requests {
    let mut requests = Requests::new();
    for (path, good) in bodies(owner) {
        let fields: Vec<String> =
            good.as_object().into_iter().flatten().map(|(field, _)| field.clone()).collect();
        for field in &fields {
            let secret = canaries.plant(&format!("{field} of {path}"));
            let tricky = format!("\": string \"{secret}, expected {secret}");
            for value in [
                json!(secret),
                json!(tricky),
                json!({ &secret: secret }),
                json!([secret]),
                json!({ "data": { field: secret } }),
            ] {
                let mut body = good.clone();
                body[field] = value;
                requests.push((
                    format!("{field} of {path}"),
                    stack.client.post(path, &body).bearer(&tokens.access),
                ));
            }
        }
        let secret = canaries.plant(&format!("an unknown field of {path}"));
        let mut body = good.clone();
        body[&secret] = json!(secret);
        requests.push((
            format!("unknown field of {path}"),
            stack.client.post(path, &body).bearer(&tokens.access),
        ));
        let secret = canaries.plant(&format!("a broken body of {path}"));
        for broken in
            [secret.clone(), format!("\"{secret}\""), format!("[\"{secret}\"]"), format!("{{\"{secret}\":")]
        {
            let request = stack.client.request(&Method::POST, path).bearer(&tokens.access).body(broken);
            requests.push((format!("broken body of {path}"), request));
        }
        let mut not_text = secret.into_bytes();
        not_text.push(0xff);
        let request = stack.client.request(&Method::POST, path).bearer(&tokens.access).body(not_text);
        requests.push((format!("no text to {path}"), request));
    }
    requests
}

/// What is not a body: headers, tokens, paths, queries, methods.
pub fn around(stack: &Stack, owner: &Owner, tokens: &Tokens, canaries: &mut Canaries) -> Requests {
    let client = &stack.client;
    let mut requests = Requests::new();
    for header in [
        "user-agent",
        "cookie",
        "x-forwarded-for",
        "referer",
        "content-type",
        "x-refresh-transport",
        "x-api-key",
    ] {
        let secret = canaries.plant(&format!("header {header}"));
        for request in [owner.ask("no such type"), owner.node_info(tokens), client.get("/v1/nowhere")] {
            requests.push((format!("header {header}"), request.header(header, &secret)));
        }
    }
    let secret = canaries.plant("a bearer token");
    let part = |json: Value| BASE64URL_NOPAD.encode(json.to_string().as_bytes());
    let kid = part(json!({"alg": "RS256", "typ": "at+jwt", "kid": secret}));
    let claims = part(json!({"sub": secret, "iss": secret}));
    let known = tokens.access.split('.').next().unwrap_or_default();
    for token in [secret.clone(), format!("{kid}.{claims}.{claims}"), format!("{known}.{claims}.{claims}")] {
        requests
            .push(("bearer token".to_owned(), owner.node_info(&Tokens { access: token, ..tokens.clone() })));
    }
    let basic = client.get("/v1/nodes/x").header("authorization", &format!("Basic {secret}"));
    requests.push(("basic authorization".to_owned(), basic));
    let secret = canaries.plant("an idempotency key that is none");
    requests.push((
        "idempotency key".to_owned(),
        owner.register(tokens).header("idempotency-key", &format!("{secret} x")),
    ));
    let secret = canaries.plant("a webhook");
    for (store, signature) in
        [(secret.as_str(), "sha256=00"), ("9CiNzKoANXxmk5ayZngSXrHTiVvvgCrwrpFQd4m2K776", &secret)]
    {
        let request = client.post(&format!("/v1/webhooks/btcpay/{store}"), &json!({ &secret: secret }));
        requests.push(("webhook".to_owned(), request.header("btcpay-sig", signature)));
    }
    let secret = canaries.plant("path, query and method");
    for (method, path) in [
        ("GET", format!("/v1/{secret}")),
        ("GET", format!("/v1/nodes/{secret}?token={secret}")),
        ("GET", format!("/v1/nodes/did:mnemonic:{secret}")),
        ("POST", format!("/v1/challenges?token={secret}")),
        (secret.as_str(), "/v1/health".to_owned()),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        requests.push((
            "path, query or method".to_owned(),
            client.request(&method, &path).bearer(&tokens.access),
        ));
    }
    let secret = canaries.plant("endpoints with secrets in them");
    for endpoint in [
        "https://user:@@nodes.example.com/",
        "https://nodes.example.com/?macaroon=@@",
        "http://@@/",
        "@@",
        "https://nodes.example.com/#@@",
    ] {
        let mut body = owner.registration();
        body["caddy_endpoint"] = json!(endpoint.replace("@@", &secret));
        requests.push(("endpoint".to_owned(), client.post("/v1/nodes", &body).bearer(&tokens.access)));
    }
    requests
}

/// Events that are none, as a broken gateway or an operator's mistake would send them.
pub fn events(canaries: &mut Canaries) -> Vec<(&'static str, String)> {
    let secret = canaries.plant("a broken event");
    let body = json!({"version": "2.0", "headers": {}, "body": format!("{secret}!"), "isBase64Encoded": true,
        "requestContext": {"http": {"method": "POST", "path": secret}, "requestId": "broken-event"}});
    let mut events = Vec::new();
    for function in
        ["create_challenge", "verify_lightning_signature", "health", "unknown_route", "clean_up", "migrate"]
    {
        events.push((function, json!({"version": secret, "body": {"secret": secret}}).to_string()));
        events.push((function, body.to_string()));
    }
    events
}
