//! Who somebody is at Discord, and every way not to learn it.

use anyhow::Context;
use sandbox::discord::Person;
use sandbox::{
    DISCORD_CLIENT_ID, DISCORD_CLIENT_SECRET, DISCORD_REDIRECT_URI, Misbehaviour, Route, Service, When,
};
use serde_json::json;
use shared::discord::{Discord, DiscordError, DiscordUser, challenge};
use shared::upstream::Upstream;
use testing::Result;
use url::Url;

use crate::ground::{Ground, IMPATIENT, problems};
use crate::server::{Reply, Server};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const TOKEN: &str = r#"{"access_token":"canary-token","token_type":"Bearer","scope":"identify email"}"#;

async fn ground() -> Result<Ground> {
    let ground = Ground::new().await?;
    let application = json!({ "client_id": DISCORD_CLIENT_ID, "client_secret": DISCORD_CLIENT_SECRET });
    ground.sandbox.secrets().put("satchel/discord", &application.to_string());
    let url = ground.sandbox.discord().url();
    Ok(ground
        .with("DISCORD_SECRET", "satchel/discord")
        .with("DISCORD_URL", &url)
        .with("DISCORD_REDIRECT_URIS", &format!("{DISCORD_REDIRECT_URI}, app.example:/back")))
}

async fn wired(ground: &Ground) -> Result<Discord> {
    let mut config = ground.config();
    let upstream = Upstream::wire(&mut config);
    let discord = Discord::wire(&mut config, &upstream).context("no Discord")?;
    config.finish().await?;
    Ok(discord)
}

/// A Discord that says exactly this.
async fn scripted(replies: impl IntoIterator<Item = Reply>) -> Result<(Server, Discord)> {
    let server = Server::start(replies).await?;
    let ground = ground().await?.with("DISCORD_URL", &server.url);
    let discord = wired(&ground).await?;
    Ok((server, discord))
}

/// What the person at the browser comes back with.
async fn code(ground: &Ground, discord: &Discord) -> Result<String> {
    let url = discord.authorize_url("state", &challenge(VERIFIER), DISCORD_REDIRECT_URI).await?;
    let to = ground.sandbox.discord().authorize(&url)?;
    let (_, code) = to.query_pairs().find(|(name, _)| name == "code").context("no code")?;
    Ok(code.into_owned())
}

fn verdict(outcome: &Result<DiscordUser, DiscordError>) -> &'static str {
    match outcome {
        Ok(_) => "known",
        Err(DiscordError::Refused) => "refused",
        Err(DiscordError::Misconfigured(_)) => "misconfigured",
        Err(DiscordError::Unavailable(_)) => "unavailable",
        Err(DiscordError::Secret(_)) => "secret",
    }
}

#[test]
fn a_challenge_is_that_of_the_standard() {
    assert_eq!(challenge(VERIFIER), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

#[tokio::test]
async fn a_code_tells_who_agreed() -> Result<()> {
    let ground = ground().await?;
    let discord = wired(&ground).await?;
    for (email, verified) in [(Some("ann@example.com"), true), (Some("ann@example.com"), false), (None, true)]
    {
        let person = Person { email: email.map(str::to_owned), verified, ..Person::new("8001", "ann") };
        ground.sandbox.discord().person(person);
        let user = discord.exchange(&code(&ground, &discord).await?, DISCORD_REDIRECT_URI, VERIFIER).await?;
        assert_eq!((user.id.as_str(), user.username.as_str()), ("8001", "ann"));
        assert_eq!(user.email.as_deref(), email);
        assert_eq!(
            user.email_verified,
            email.is_some() && verified,
            "nobody has proven an address there is not"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_browser_is_sent_with_state_challenge_and_address_and_without_a_secret() -> Result<()> {
    let ground = ground().await?;
    let discord = wired(&ground).await?;
    let url = discord.authorize_url("s&t=1", &challenge(VERIFIER), "app.example:/back").await?;
    assert!(url.starts_with(&format!("{}/oauth2/authorize?", ground.sandbox.discord().url())), "{url}");
    let url = Url::parse(&url)?;
    let asked: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", DISCORD_CLIENT_ID),
        ("scope", "identify email"),
        ("state", "s&t=1"),
        ("redirect_uri", "app.example:/back"),
        ("code_challenge_method", "S256"),
    ] {
        let given: Vec<_> = asked.iter().filter(|(known, _)| known == name).collect();
        assert!(given.len() == 1 && given[0].1 == value, "{name}: {given:?}");
    }
    assert!(!url.as_str().contains(VERIFIER) && !url.as_str().contains(DISCORD_CLIENT_SECRET));
    Ok(())
}

#[tokio::test]
async fn only_addresses_on_the_list_are_taken_to_the_letter() -> Result<()> {
    let discord = wired(&ground().await?).await?;
    assert_eq!(discord.redirect_uri(None), Some(DISCORD_REDIRECT_URI));
    assert_eq!(discord.redirect_uri(Some("app.example:/back")), Some("app.example:/back"));
    let upper = DISCORD_REDIRECT_URI.to_uppercase();
    let (slash, query) = (format!("{DISCORD_REDIRECT_URI}/"), format!("{DISCORD_REDIRECT_URI}?a=b"));
    for other in ["", "https://evil.example", &slash, &query, &upper, &DISCORD_REDIRECT_URI[1..]] {
        assert_eq!(discord.redirect_uri(Some(other)), None, "{other}");
    }
    Ok(())
}

#[tokio::test]
async fn a_code_that_is_not_good_is_refused() -> Result<()> {
    let ground = ground().await?;
    let discord = wired(&ground).await?;
    let good = code(&ground, &discord).await?;
    for (code, verifier) in [
        (good.as_str(), "another-verifier-that-is-as-long-as-it-must-be"),
        ("a-code-nobody-made", VERIFIER),
        ("", VERIFIER),
        ("a b", VERIFIER),
        ("é", VERIFIER),
        ("a\r\nb", VERIFIER),
        (&"a".repeat(513), VERIFIER),
    ] {
        assert_eq!(
            verdict(&discord.exchange(code, DISCORD_REDIRECT_URI, verifier).await),
            "refused",
            "{code:?}"
        );
    }
    let elsewhere = discord.exchange(&good, "app.example:/back", VERIFIER).await;
    assert_eq!(verdict(&elsewhere), "misconfigured", "Discord knows the code and not the address");
    assert_eq!(verdict(&discord.exchange(&good, DISCORD_REDIRECT_URI, VERIFIER).await), "known");
    assert_eq!(verdict(&discord.exchange(&good, DISCORD_REDIRECT_URI, VERIFIER).await), "refused", "used");
    Ok(())
}

#[tokio::test]
async fn a_secret_that_was_reset_is_fetched_afresh_and_a_wrong_one_is_our_own_fault() -> Result<()> {
    let ground = ground().await?;
    let discord = wired(&ground).await?;
    let first = code(&ground, &discord).await?;
    ground.sandbox.discord().application(DISCORD_CLIENT_ID, "reset-secret", &[DISCORD_REDIRECT_URI]);
    assert_eq!(verdict(&discord.exchange(&first, DISCORD_REDIRECT_URI, VERIFIER).await), "misconfigured");
    let application = json!({ "client_id": DISCORD_CLIENT_ID, "client_secret": "reset-secret" });
    ground.sandbox.secrets().put("satchel/discord", &application.to_string());
    assert_eq!(verdict(&discord.exchange(&first, DISCORD_REDIRECT_URI, VERIFIER).await), "known");
    Ok(())
}

#[tokio::test]
async fn a_discord_that_does_not_answer_is_away_and_is_asked_once() -> Result<()> {
    let ground = ground().await?.with(IMPATIENT.0, IMPATIENT.1);
    let discord = wired(&ground).await?;
    for misbehave in [
        Misbehaviour::FailBefore { status: 503, body: "busy".into() },
        Misbehaviour::FailAfter { status: 504, body: "late".into() },
        Misbehaviour::RateLimited { retry_after: 7 },
        Misbehaviour::CutBody { bytes: 9 },
        Misbehaviour::Garbage,
        Misbehaviour::CloseAfter,
        Misbehaviour::Hang,
    ] {
        for path in ["/discord/api/oauth2/token", "/discord/api/v10/users/@me"] {
            let code = code(&ground, &discord).await?;
            let before = ground.sandbox.calls_to(Service::Discord, path);
            let route = Route::service(Service::Discord).path(path);
            ground.sandbox.faults().add(route, When::Times(1), misbehave.clone())?;
            let outcome = discord.exchange(&code, DISCORD_REDIRECT_URI, VERIFIER).await;
            assert_eq!(verdict(&outcome), "unavailable", "{misbehave:?} at {path}");
            assert_eq!(
                ground.sandbox.calls_to(Service::Discord, path),
                before + 1,
                "{misbehave:?} at {path}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn nothing_that_discord_says_or_that_it_is_told_gets_into_an_error() -> Result<()> {
    let quoted = format!("canary-code {VERIFIER} {}", "Zm9v".repeat(20));
    let with_token = format!("{quoted} canary-token");
    let refusal = json!({ "error": "invalid_client", "error_description": quoted }).to_string();
    for replies in [
        vec![Reply::json(401, &refusal)],
        vec![Reply::json(500, &refusal)],
        vec![Reply::json(200, &quoted)],
        vec![Reply::json(200, TOKEN), Reply::json(403, &with_token)],
    ] {
        let (_server, discord) = scripted(replies).await?;
        let error = discord.exchange("canary-code", DISCORD_REDIRECT_URI, VERIFIER).await.err();
        let said = format!("{error:?} {}", error.as_ref().context("known")?);
        for secret in ["canary", VERIFIER, DISCORD_CLIENT_SECRET, "Zm9vZm9v"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_user_is_believed_only_in_form() -> Result<()> {
    let user =
        |id: &str, more: &str| Reply::json(200, &format!(r#"{{"id":{id},"username":"n\u0000n"{more}}}"#));
    for (reply, expected) in [
        (user(r#""8001""#, ""), "known"),
        (user("8001", ""), "unavailable"),
        (user(r#""""#, ""), "unavailable"),
        (user(r#""0""#, ""), "unavailable"),
        (user(r#""8001x""#, ""), "unavailable"),
        (user(r#""123456789012345678901""#, ""), "unavailable"),
        (user(r#""8001""#, r#","verified":"yes""#), "unavailable"),
        (Reply::with(302, &[("location", "http://127.0.0.1:1/")], ""), "unavailable"),
    ] {
        let (server, discord) = scripted([Reply::json(200, TOKEN), reply]).await?;
        let outcome = discord.exchange("code", DISCORD_REDIRECT_URI, VERIFIER).await;
        if let Ok(user) = &outcome {
            assert_eq!(user.username, "nn");
        }
        assert_eq!(verdict(&outcome), expected, "{:?}", server.lines());
        assert_eq!(server.lines(), ["POST /api/oauth2/token", "GET /api/v10/users/@me"]);
    }
    for token in [r#"{"access_token":"t","token_type":"mac"}"#, r#"{"access_token":5,"token_type":"Bearer"}"#]
    {
        let (_server, discord) = scripted([Reply::json(200, token)]).await?;
        let outcome = discord.exchange("code", DISCORD_REDIRECT_URI, VERIFIER).await;
        assert_eq!(verdict(&outcome), "unavailable", "{token}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_sent_is_a_form_with_the_verifier_and_basic_credentials() -> Result<()> {
    let (server, discord) =
        scripted([Reply::json(200, TOKEN), Reply::json(200, r#"{"id":"1","username":"n"}"#)]).await?;
    discord.exchange("c%1", "http://a.example/?b=c d", VERIFIER).await?;
    let heard = server.heard();
    assert_eq!(heard[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(
        heard[0].body,
        format!(
            "grant_type=authorization_code&code=c%251&redirect_uri=http%3A%2F%2Fa.example%2F%3Fb%3Dc+d&code_verifier={VERIFIER}"
        )
    );
    let basic =
        data_encoding::BASE64.encode(format!("{DISCORD_CLIENT_ID}:{DISCORD_CLIENT_SECRET}").as_bytes());
    assert_eq!(heard[0].header("authorization"), Some(format!("Basic {basic}").as_str()));
    assert_eq!(heard[1].header("authorization"), Some("Bearer canary-token"));
    Ok(())
}

#[tokio::test]
async fn without_a_secret_there_is_no_discord_and_a_wrong_list_is_said_at_start() -> Result<()> {
    let mut config = Ground::new().await?.config();
    let upstream = Upstream::wire(&mut config);
    assert!(Discord::wire(&mut config, &upstream).is_none());
    for (name, value, expected) in [
        ("DISCORD_REDIRECT_URIS", "", "DISCORD_REDIRECT_URIS is missing"),
        ("DISCORD_REDIRECT_URIS", "https://a.example/#b", "DISCORD_REDIRECT_URIS is not a list of URLs"),
        ("DISCORD_REDIRECT_URIS", "https://a.example,", "DISCORD_REDIRECT_URIS is not a list of URLs"),
        ("DISCORD_REDIRECT_URIS", "javascript:alert(1)", "DISCORD_REDIRECT_URIS is not a list of URLs"),
        ("DISCORD_URL", "ftp://discord.example", "DISCORD_URL is not https"),
    ] {
        let mut config = ground().await?.with(name, value).config();
        let upstream = Upstream::wire(&mut config);
        let _ = Discord::wire(&mut config, &upstream);
        let said = problems(config).await?;
        assert!(said.contains(expected), "{value}: {said}");
    }
    for document in [r#"{"client_id":"x","client_secret":"s"}"#, r#"{"client_id":"1","client_secret":""}"#] {
        let ground = ground().await?;
        ground.sandbox.secrets().put("satchel/discord", document);
        assert!(wired(&ground).await.is_err(), "{document}");
    }
    Ok(())
}
