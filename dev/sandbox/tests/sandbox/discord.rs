//! Discord: a code for somebody at the browser, a token for the code, and who the token is about.

use data_encoding::BASE64;
use sandbox::{
    DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET, DISCORD_REDIRECT_URI, Misbehaviour, Route, Sandbox, Service,
    When, discord::Person,
};
use serde_json::{Value, json};
use url::{Url, form_urlencoded::Serializer};

use crate::client::{call, sandbox, send};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Of RFC 7636, appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{id}:{secret}").as_bytes()))
}

fn asked(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = [
        ("response_type", "code"),
        ("client_id", DISCORD_CLIENT_ID),
        ("scope", "identify email"),
        ("state", "s 1"),
        ("redirect_uri", DISCORD_REDIRECT_URI),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    fields
}

fn authorize_url(sandbox: &Sandbox, more: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(asked(more)).finish();
    format!("{}/oauth2/authorize?{query}", sandbox.discord().url())
}

fn query_of(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

fn code(sandbox: &Sandbox) -> anyhow::Result<String> {
    let to = sandbox.discord().authorize(&authorize_url(sandbox, &[]))?;
    query_of(&to, "code").ok_or_else(|| anyhow::anyhow!("no code in {to}"))
}

async fn redeem(sandbox: &Sandbox, fields: &[(&str, &str)]) -> anyhow::Result<(u16, Value)> {
    let basic = basic(DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET);
    let url = format!("{}/api/oauth2/token", sandbox.discord().url());
    call("POST", &url, &[FORM, ("authorization", &basic)], &form(fields)).await
}

fn good(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", DISCORD_REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ]
}

#[tokio::test]
async fn somebody_agrees_and_is_known_by_their_token() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let discord = sandbox.discord();
    discord.person(Person::new("8001", "ann").email("ann@example.com", false));
    let code = code(&sandbox)?;
    let (status, token) = redeem(&sandbox, &good(&code)).await?;
    assert_eq!(
        (status, &token["token_type"], &token["scope"]),
        (200, &json!("Bearer"), &json!("identify email"))
    );
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap_or_default());
    let me = format!("{}/api/v10/users/@me", discord.url());
    let (status, user) = call("GET", &me, &[("authorization", &bearer)], "").await?;
    assert_eq!(status, 200);
    assert_eq!((&user["id"], &user["username"]), (&json!("8001"), &json!("ann")));
    assert_eq!((&user["email"], &user["verified"]), (&json!("ann@example.com"), &json!(false)));
    assert_eq!(call("GET", &me, &[], "").await?.0, 401);
    assert_eq!(call("GET", &me, &[("authorization", "Bearer nobody")], "").await?.0, 401);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_browser_is_sent_back_with_its_state() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let to = sandbox.discord().authorize(&authorize_url(&sandbox, &[]))?;
    assert!(to.as_str().starts_with(DISCORD_REDIRECT_URI), "{to}");
    assert_eq!(query_of(&to, "state").as_deref(), Some("s 1"));
    assert_eq!(send("GET", &authorize_url(&sandbox, &[]), &[], "").await?.0, 302);
    sandbox.discord().deny_next();
    let denied = sandbox.discord().authorize(&authorize_url(&sandbox, &[]))?;
    assert_eq!(query_of(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!((query_of(&denied, "code"), query_of(&denied, "state")), (None, Some("s 1".into())));
    for wrong in [("redirect_uri", "http://127.0.0.1:3000/auth/discord/"), ("client_id", "1")] {
        let (status, _) = send("GET", &authorize_url(&sandbox, &[wrong]), &[], "").await?;
        assert_eq!(status, 400, "{wrong:?}");
    }
    let scope = sandbox.discord().authorize(&authorize_url(&sandbox, &[("scope", "bot")]))?;
    assert_eq!(query_of(&scope, "error").as_deref(), Some("invalid_scope"));
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_code_is_good_once_and_only_with_what_it_was_asked_with() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let code = code(&sandbox)?;
    let with = |name: &'static str, value: &'static str| {
        let fields = good(&code).into_iter();
        fields.map(|(known, old)| (known, if known == name { value } else { old })).collect::<Vec<_>>()
    };
    for (name, value, error) in [
        ("code_verifier", "another-verifier-that-is-as-long-as-it-must-be", "invalid_grant"),
        ("code_verifier", "", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1:3000/", "invalid_request"),
        ("code", "nobody-s", "invalid_grant"),
        ("grant_type", "password", "unsupported_grant_type"),
    ] {
        let (status, body) = redeem(&sandbox, &with(name, value)).await?;
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{name} {value}");
    }
    assert_eq!(redeem(&sandbox, &good(&code)).await?.0, 200, "what was refused used nothing up");
    assert_eq!(redeem(&sandbox, &good(&code)).await?.1["error"], json!("invalid_grant"));
    assert_eq!(sandbox.discord().live_tokens(), 1);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_token_is_given_to_the_application_alone_and_for_a_form_alone() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    sandbox.discord().application("2", "other", &[DISCORD_REDIRECT_URI]);
    let code = code(&sandbox)?;
    let (url, body) = (format!("{}/api/oauth2/token", sandbox.discord().url()), form(&good(&code)));
    let right = basic(DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET);
    for (authorization, status) in [
        (basic(DISCORD_CLIENT_ID, "wrong"), 401),
        (String::from("Bearer x"), 401),
        (basic("2", "other"), 400),
    ] {
        let headers = [FORM, ("authorization", authorization.as_str())];
        assert_eq!(call("POST", &url, &headers, &body).await?.0, status, "{authorization}");
    }
    let json = json!({"grant_type": "authorization_code", "code": code}).to_string();
    let headers = [("content-type", "application/json"), ("authorization", right.as_str())];
    assert_eq!(call("POST", &url, &headers, &json).await?.0, 400);
    assert_eq!(redeem(&sandbox, &good(&code)).await?.0, 200);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn revoking_one_token_ends_all_of_that_person() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let (_, token) = redeem(&sandbox, &good(&code(&sandbox)?)).await?;
        tokens.push(token["access_token"].as_str().unwrap_or_default().to_owned());
    }
    sandbox.discord().person(Person::new("8002", "bob"));
    redeem(&sandbox, &good(&code(&sandbox)?)).await?;
    assert_eq!(sandbox.discord().live_tokens(), 3);
    let url = format!("{}/api/oauth2/token/revoke", sandbox.discord().url());
    let body = form(&[("token", tokens[0].as_str())]);
    let right = basic(DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET);
    assert_eq!(call("POST", &url, &[FORM], &body).await?.0, 401);
    assert_eq!(call("POST", &url, &[FORM, ("authorization", &right)], &body).await?.0, 200);
    assert_eq!(sandbox.discord().live_tokens(), 1);
    sandbox.stop().await;
    Ok(())
}

#[tokio::test]
async fn it_misbehaves_as_the_others_do() -> anyhow::Result<()> {
    let sandbox = sandbox().await?;
    let code = code(&sandbox)?;
    let after = Misbehaviour::FailAfter { status: 504, body: "late".into() };
    let route = Route::service(Service::Discord).method("POST").path("/discord/api/oauth2/token");
    sandbox.faults().add(route, When::Times(1), after)?;
    let url = format!("{}/api/oauth2/token", sandbox.discord().url());
    let right = basic(DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET);
    let (status, body) = send("POST", &url, &[FORM, ("authorization", &right)], &form(&good(&code))).await?;
    assert_eq!((status, body.as_ref()), (504, &b"late"[..]));
    assert_eq!(sandbox.discord().live_tokens(), 1, "the work was done");
    assert_eq!(redeem(&sandbox, &good(&code)).await?.0, 400, "so the code is used up");
    assert_eq!(sandbox.calls_to(Service::Discord, "/discord/api/oauth2/token"), 2);
    let person = json!({"id": "8003", "username": "eve"}).to_string();
    let control = format!("{}/sandbox/discord", sandbox.base_url());
    assert_eq!(call("POST", &format!("{control}/person"), &[], &person).await?.0, 200);
    assert_eq!(call("POST", &format!("{control}/person"), &[], "{}").await?.0, 400);
    assert_eq!(call("POST", &format!("{control}/deny"), &[], "").await?.0, 200);
    assert!(sandbox.discord().authorize(&authorize_url(&sandbox, &[]))?.as_str().contains("access_denied"));
    sandbox.stop().await;
    Ok(())
}
