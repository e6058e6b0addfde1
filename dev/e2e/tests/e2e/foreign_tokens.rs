//! Tokens and keys in the forms that others give out, and our own where they do not belong: refused, by whoever is
//! given them.

use std::collections::BTreeSet;

use anyhow::ensure;
use data_encoding::BASE64URL_NOPAD;
use e2e::client::{Request, text};
use e2e::openapi::{self, Door, Operation};
use e2e::{Answer, Owner, Person, Result, Session, Stack, form, tokens};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use sandbox::privy::PrivyPerson;
use serde_json::{Value, json};
use shared::fresh::{self, SigningAlgorithm};

/// As others give them out.
const KEYS: [(&str, &str); 26] = [
    ("Discord access token", "6qrZcUqja7812RVdnEKjpzOL4CvHBFG"),
    ("Discord bot token", "MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs"),
    ("Stripe secret key", "sk_live_51NzQx2eZvKYlo2C0aSatchelAaBbCcDdEeFfGgHhIiJjKkLl"),
    ("Stripe restricted key", "rk_test_51NzQx2eZvKYlo2C0aSatchelAaBbCcDdEeFfGgHhIiJjKkLl"),
    ("Stripe publishable key", "pk_live_51NzQx2eZvKYlo2C0aSatchelAaBbCcDdEeFfGgHhIiJjKkLl"),
    ("Stripe webhook secret", "whsec_5pTk9dZqY2mXw8vBn4rLc7Ha1Gf3Js6e"),
    ("GitHub classic token", "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"),
    ("GitHub OAuth token", "gho_16C7e42F292c6912E7710c838347Ae178B4a"),
    (
        "GitHub fine-grained token",
        "github_pat_11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ0123456789aBcDeFgHiJkLmNoPqRsTuVwXyZ01234567",
    ),
    ("GitLab token", "glpat-9sQmR4tYx2WvZ7bLk8Nc"),
    ("npm token", "npm_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"),
    ("Slack token", "xoxb-2345678901-2345678901234-aBcDeFgHiJkLmNoPqRsTuVwX"),
    ("Google access token", "ya29.a0AfH6SMBx2yZ8kQ0eWq1rT5uVn3oPm7LsJd9GfHcKbXiYjZaWvEuRtQ"),
    ("Google API key", "AIzaSyD4iE2xVSpkLLOXoyqT0RuPwURN3ddScAI"),
    ("AWS access key", "AKIAIOSFODNN7EXAMPLE"),
    ("SendGrid key", "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"),
    ("OpenAI key", "sk-proj-aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789aBcDeFgHiJkL"),
    ("BTCPay key", "f1d2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4"),
    ("Supabase refresh token", "v1.MFr0mT4kQzJx2yW8Lw"),
    ("key of this form of ours", "vb_live_9fK2mQ7x_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0m_0mLq17"),
    ("UUID", "019b9f5e-5c00-7000-8000-000000000001"),
    ("the word null", "null"),
    ("one letter", "x"),
    ("three dots", "..."),
    ("SQL", "' OR '1'='1"),
    ("words of a seed", "absorb kidney ladder orbit planet quiet ripple saddle tunnel uphold velvet walnut"),
];

const UID: &str = "019b9f5e-5c00-7000-8000-000000000001";

/// What others sign, each as it writes it: the type, the key's id, and claims. A key without an id is a password.
const CLAIMS: [(&str, &str, &str, &str); 8] = [
    (
        "Firebase custom token",
        "JWT",
        "firebase",
        r#"{"iss":"app@example.com","sub":"app@example.com","uid":"UID",
        "aud":"https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit"}"#,
    ),
    (
        "Firebase id token",
        "JWT",
        "1bb77",
        r#"{"iss":"https://securetoken.google.com/app","aud":"app","sub":"UID","auth_time":1767960000}"#,
    ),
    (
        "Supabase access token",
        "JWT",
        "",
        r#"{"iss":"https://x.supabase.co/auth/v1","aud":"authenticated","role":"authenticated","sub":"UID"}"#,
    ),
    ("Supabase service key", "JWT", "", r#"{"iss":"supabase","ref":"x","role":"service_role"}"#),
    (
        "Auth0 token",
        "at+jwt",
        "auth0",
        r#"{"iss":"https://x.auth0.com/","aud":"satchel","sub":"auth0|1","scope":"user"}"#,
    ),
    (
        "Cognito token",
        "JWT",
        "cognito",
        r#"{"token_use":"access","client_id":"x","username":"UID","sub":"UID"}"#,
    ),
    ("Clerk token", "JWT", "ins_2x", r#"{"azp":"https://localhost","sid":"sess_1","sub":"user_1"}"#),
    (
        "Google id token",
        "JWT",
        "f833e8",
        r#"{"iss":"https://accounts.google.com","aud":"x.apps.googleusercontent.com","sub":"1","email_verified":true}"#,
    ),
];

/// Ours to the letter, but for the key.
const OURS: &str = r#"{"iss":"https://localhost","aud":"satchel","sub":"UID","sid":"UID","jti":"UID",
    "nbf":1767960000,"scope":"user admin"}"#;

/// A token, and what it is.
struct Foreign {
    name: &'static str,
    token: String,
    /// Where it is good, and so is not tried.
    belongs: &'static [&'static str],
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_others_and_our_own_in_the_wrong_place_are_refused_everywhere() -> Result<()> {
    let stack = Stack::start().await?;
    let foreign = everything(&stack).await?;
    let mut calls = 0;
    for operation in signed_in_routes()? {
        for Foreign { name, token, .. } in &foreign {
            let path = operation.path_with(|_, name| Ok(in_path(name).to_owned()))?;
            let request = stack.client.request(&operation.method, &path).bearer(token);
            let answer = with_body(request, operation.body.as_ref()).send().await?;
            refused(&answer, &[401], token, &format!("{name} at {}", operation.route()))?;
            calls += 1;
        }
    }
    for (place, allowed) in PLACES {
        for Foreign { name, token, .. } in foreign.iter().filter(|one| !one.belongs.contains(&place)) {
            let answer = at(&stack, place, token).send().await?;
            refused(&answer, allowed, token, &format!("{name} as {place}"))?;
            calls += 1;
        }
    }
    println!("{} forms, {calls} calls", foreign.len());
    assert!(foreign.len() >= 40 && calls > 1_000, "{} forms, {calls} calls", foreign.len());
    stack.stop().await
}

/// Where else a token is handed in, and how one that is not good is refused there.
const PLACES: [(&str, &[u16]); 7] = [
    ("refresh token", &[400, 401]),
    ("refresh cookie", &[400, 401, 403]),
    ("token of an e-mail", &[400, 410]),
    ("token of a reset", &[400, 410]),
    ("Privy token", &[400, 401]),
    ("state of Discord", &[400, 401, 410]),
    ("referral key", &[400, 404, 410]),
];

fn at(stack: &Stack, place: &str, token: &str) -> Request {
    let client = &stack.client;
    match place {
        "refresh token" => client.post("/v1/auth/refresh", &json!({ "refreshToken": token })),
        "refresh cookie" => {
            let cookie: String = token.chars().filter(|c| !c.is_whitespace() && *c != ';').collect();
            let request = client.post("/v1/auth/refresh", &json!({})).header("x-refresh-transport", "cookie");
            request.header("origin", "https://localhost").header("cookie", &format!("__Host-rt={cookie}"))
        }
        "token of an e-mail" => client.post("/v1/auth/email/verify", &json!({ "token": token })),
        "token of a reset" => {
            client.post("/v1/auth/password/reset", &json!({ "token": token, "password": "a new password" }))
        }
        "Privy token" => client.post("/v1/auth/login", &json!({ "privyToken": token })),
        "state of Discord" => {
            let state: String =
                token.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
            let callback =
                format!("/v1/auth/discord/callback?code=aBcDeFgHiJkLmNoPqRsTuVwXyZ0123&state={state}");
            client.get(&callback).header("cookie", &format!("__Host-oauth={state}"))
        }
        _ => {
            client.post("/v1/private-beta/verify", &json!({ "referralKey": token, "email": "a@example.com" }))
        }
    }
}

fn refused(answer: &Answer, allowed: &[u16], token: &str, what: &str) -> Result<()> {
    ensure!(allowed.contains(&answer.status), "{what}: {answer}");
    form::error_code(answer)?;
    let told = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(token.len() < 8 || !told.contains(token), "{what}: the token is repeated: {answer}");
    Ok(())
}

/// One route of each function behind a token, or every one when there is time.
fn signed_in_routes() -> Result<Vec<Operation>> {
    let mut of_function = BTreeSet::new();
    let first = |operation: &Operation| {
        let family: Vec<&str> = operation.path.split('/').take(4).collect();
        e2e::full() || of_function.insert(family.join("/"))
    };
    let bearer = openapi::operations()?.into_iter().filter(|operation| operation.door == Door::Bearer);
    Ok(bearer.filter(first).collect())
}

fn in_path(name: &str) -> &'static str {
    match name {
        "did" => "did:mnemonic:0123456789abcdef",
        "kind" => "discord",
        "privyId" => "did:privy:cm1",
        "walletAddress" => "0x00000000219ab540356cbb839cbe05303d7705fa",
        _ => "019b9f5e-5c00-7000-8000-000000000001",
    }
}

fn with_body(request: Request, body: Option<&Value>) -> Request {
    match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    }
}

async fn everything(stack: &Stack) -> Result<Vec<Foreign>> {
    let one = |name: &'static str, token: String| Foreign { name, token, belongs: &[] };
    let mut all: Vec<Foreign> = KEYS.iter().map(|(name, key)| one(name, (*key).to_owned())).collect();
    all.extend(jwts()?.into_iter().map(|(name, token)| one(name, token)));
    let privy = stack.sandbox.privy().tokens(&PrivyPerson::new("alice"));
    all.push(Foreign { name: "Privy access token", token: privy.access, belongs: &["Privy token"] });
    all.push(one("Privy identity token", privy.identity));

    let owner = Owner::new(stack)?;
    let session = owner.sign_in().await?;
    all.push(Foreign {
        name: "our refresh token",
        token: session.refresh,
        belongs: &["refresh token", "refresh cookie"],
    });
    all.push(one("our step-up token", owner.step_up().await?));
    all.push(one("our expired token", tokens::expired(stack, &session.access)?));
    let other_audience = |claims: &mut Value| claims["aud"] = json!("satchel/step-up");
    all.push(one(
        "our token for another audience",
        tokens::signed_anew(stack, &session.access, other_audience)?,
    ));
    let elsewhere = |claims: &mut Value| claims["iss"] = json!("https://other.example.com");
    all.push(one("our token of another issuer", tokens::signed_anew(stack, &session.access, elsewhere)?));
    all.push(one("the macaroon of a node", owner.node.admin_macaroon.clone()));

    let person = Person::new(stack);
    Session::from(person.register()).await?;
    let token = stack.mailed_token(&person.email).await?;
    all.push(Foreign { name: "our one-time token", token, belongs: &["token of an e-mail"] });
    Ok(all)
}

/// Signed by keys that are not ours.
fn jwts() -> Result<Vec<(&'static str, String)>> {
    let key = fresh::signing_key(SigningAlgorithm::Rs256).map_err(|_| anyhow::anyhow!("no key"))?;
    let rsa = EncodingKey::from_rsa_pem(text(&key, "/private_key")?.as_bytes())?;
    let password = EncodingKey::from_secret(b"super-secret-jwt-token-with-at-least-32-characters-long");
    let signed = |(name, typ, kid, claims): (&'static str, &str, &str, &str)| {
        let (algorithm, key) =
            if kid.is_empty() { (Algorithm::HS256, &password) } else { (Algorithm::RS256, &rsa) };
        let header =
            Header { typ: Some(typ.to_owned()), kid: Some(kid.to_owned()), ..Header::new(algorithm) };
        anyhow::Ok((name, jsonwebtoken::encode(&header, &lasting(claims)?, key)?))
    };
    let ours = [
        ("our claims under another's key", "at+jwt", "x", OURS),
        ("our claims under a password", "at+jwt", "", OURS),
    ];
    let mut all = CLAIMS.into_iter().chain(ours).map(signed).collect::<Result<Vec<_>>>()?;
    let unsigned = [json!({ "alg": "none", "typ": "at+jwt", "kid": "x" }), lasting(OURS)?];
    let unsigned = unsigned.map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
    all.push(("our claims unsigned", unsigned.join(".") + "."));
    Ok(all)
}

/// The claims, good for as long as anybody remembers them.
fn lasting(claims: &str) -> Result<Value> {
    let mut claims: Value = serde_json::from_str(&claims.replace("UID", UID))?;
    claims["iat"] = json!(1_767_960_000);
    claims["exp"] = json!(4_102_444_800_i64);
    Ok(claims)
}
