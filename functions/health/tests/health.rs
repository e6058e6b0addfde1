//! `GET /v1/health`

use health::{Deps, handle};
use serde_json::json;
use testing::{Call, Outcome, Result, World, binary, deployment};

const BINARY: &str = env!("CARGO_BIN_EXE_health");
const NAME: &str = "health";

async fn ask(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

fn good() -> Call {
    Call::new("GET /v1/health")
}

#[tokio::test]
async fn the_event_file_is_answered_with_database_and_version() -> Result<()> {
    let world = World::start().await?;
    let answer = ask(&world.wire(NAME, Deps::wire).await?, &Call::from_event(NAME)?).await?;
    assert_eq!(answer.status, 200, "{answer:?}");
    let version = env!("CARGO_PKG_VERSION");
    let whole = json!({ "status": "ok", "database": "ok", "providers": {}, "version": version });
    assert_eq!(answer.body, whole);
    Ok(())
}

#[tokio::test]
async fn the_status_of_sign_in_is_told_without_a_database() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let ask_status = Call::new("GET /v1/auth/status");
    assert_eq!(ask(&deps, &ask_status).await?.body, json!({ "status": "ok" }));
    let api = world.binary(BINARY, NAME).await?;
    world.db.admin().await?.batch_execute("DROP TABLE provider_breakers").await?;
    let answer = binary::call(&api, &ask_status).await?;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &json!({ "status": "ok" })));
    assert_eq!(ask(&deps, &good()).await?.status, 500, "the other route does ask it");
    Ok(())
}

#[tokio::test]
async fn it_tells_which_providers_are_not_called_for_a_while_and_is_well_all_the_same() -> Result<()> {
    let world = World::start().await?;
    let admin = world.db.admin().await?;
    let counted = "INSERT INTO provider_breakers (provider, window_at, calls, failures, opened_at)
                   VALUES ('btcpay', now(), 40, 19, NULL), ('voltage', now(), 20, 10, now())";
    admin.batch_execute(counted).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let answer = ask(&deps, &good()).await?;
    assert_eq!((answer.status.as_u16(), &answer.body["status"]), (200, &json!("ok")), "{answer:?}");
    assert_eq!(answer.body["providers"], json!({ "btcpay": "closed", "voltage": "open" }));

    admin.batch_execute("UPDATE provider_breakers SET opened_at = NULL").await?;
    let answer = ask(&deps, &good()).await?;
    assert_eq!(answer.body["providers"], json!({ "btcpay": "closed", "voltage": "closed" }));
    Ok(())
}

#[tokio::test]
async fn of_all_nodes_it_tells_whether_any_is_not_called() -> Result<()> {
    let world = World::start().await?;
    let admin = world.db.admin().await?;
    let counted = "INSERT INTO provider_breakers (provider, host, window_at, calls, failures, opened_at)
                   VALUES ('lnd', 'n1.example:8080', now(), 40, 0, NULL), ('lnd', 'n2.example:8080', now(), 20, 20, now()),
                          ('lnd', 'n3.example:8080', now(), 40, 1, NULL)";
    admin.batch_execute(counted).await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    assert_eq!(ask(&deps, &good()).await?.body["providers"], json!({ "lnd": "open" }));
    admin.batch_execute("DELETE FROM provider_breakers WHERE opened_at IS NOT NULL").await?;
    assert_eq!(ask(&deps, &good()).await?.body["providers"], json!({ "lnd": "closed" }));
    Ok(())
}

#[tokio::test]
async fn it_asks_the_database_each_time() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    assert_eq!(ask(&deps, &good()).await?.status, 200);

    let elsewhere = deployment::sibling(&world.db.admin_database_url()?, "postgres", None)?;
    let admin = deployment::connect(&elsewhere).await?;
    let name = &world.db.name;
    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
    let end = format!(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{name}'"
    );
    admin.batch_execute(&end).await?;
    for _ in 0..2 {
        let answer = ask(&deps, &good()).await?;
        assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }

    admin.batch_execute(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await?;
    assert_eq!(ask(&deps, &good()).await?.status, 200, "it is back with the database");
    Ok(())
}

#[tokio::test]
async fn what_it_says_of_a_database_away_tells_nothing_of_it() -> Result<()> {
    let world = World::start().await?;
    world.take_database_away("api")?;
    let answer = ask(&world.wire(NAME, Deps::wire).await?, &good()).await?;
    assert_eq!(answer.refusal()?, (503, "UNAVAILABLE"));
    for hint in ["127.0.0.1", "satchel_api", &world.db.name, "refused"] {
        assert!(!answer.reply.body.contains(hint), "{hint}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_and_lives_on_after_bad_events() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    assert_eq!(binary::call(&api, &good()).await?.body["status"], "ok");
    binary::survives_bad_base64(&api, &good()).await?;
    binary::logs_the_request_once(&api, &good()).await
}

#[tokio::test]
async fn the_binary_names_every_problem_at_once_and_quotes_no_value() -> Result<()> {
    let world = World::start().await?;
    let missing = ["DATABASE_SECRET is missing"];
    binary::refuses_to_start(BINARY, &binary::bare_environment(&world, &[]), &missing, &[]).await?;

    let credentials =
        [("AWS_ACCESS_KEY_ID", ""), ("AWS_SECRET_ACCESS_KEY", ""), ("DATABASE_POOL_SIZE", "canary")];
    let problems = [
        "DATABASE_SECRET is missing",
        "AWS_ACCESS_KEY_ID is missing",
        "AWS_SECRET_ACCESS_KEY is missing",
        "DATABASE_POOL_SIZE is not a number from 1 to 50",
    ];
    let environment = binary::bare_environment(&world, &credentials);
    binary::refuses_to_start(BINARY, &environment, &problems, &["canary"]).await
}

#[tokio::test]
async fn the_binary_refuses_a_database_document_that_is_weak() -> Result<()> {
    let world = World::start().await?;
    let of = |fields: serde_json::Value| {
        let mut document =
            json!({ "host": "127.0.0.1", "port": 1, "dbname": "d", "username": "u", "password": "canary" });
        for (name, value) in fields.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        document.to_string()
    };
    let cases = [
        (
            of(json!({ "host": "db.canary", "sslmode": "disable" })),
            "turns TLS off for a host that is not this machine",
        ),
        (of(json!({ "sslmode": "prefer" })), "has an sslmode other than require, verify-full or disable"),
        (of(json!({ "ca_pem": "-----BEGIN CERTIFICATE-----\ncanary" })), "has a ca_pem that is not PEM"),
        (of(json!({ "port": "canary" })), "is not the document expected"),
        (of(json!({ "password": null })), "is not the document expected"),
        (String::from("canary"), "is not the document expected"),
        (String::from("{}"), "is not the document expected"),
    ];
    for (document, problem) in cases {
        world.sandbox.secrets().put("w/database", &document);
        let environment = binary::bare_environment(&world, &[("DATABASE_SECRET", "w/database")]);
        let named = format!("DATABASE_SECRET: secret w/database {problem}");
        binary::refuses_to_start(BINARY, &environment, &[&named], &["canary"]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_password_rotated_under_it_is_fetched_anew() -> Result<()> {
    let world = World::start().await?;
    let secrets = world.sandbox.secrets();
    let good_document = secrets.get("satchel/database/api").unwrap_or_default();
    let mut stale: serde_json::Value = serde_json::from_str(&good_document)?;
    stale["password"] = json!("yesterday's");
    secrets.put("satchel/database/api", &stale.to_string());
    let deps = world.wire(NAME, Deps::wire).await?;
    secrets.put("satchel/database/api", &good_document);
    assert_eq!(ask(&deps, &good()).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn without_secrets_manager_it_starts_and_works_once_that_is_back() -> Result<()> {
    let world = World::start().await?;
    binary::outlives_an_absence_of_secrets(&world, (BINARY, NAME), &good()).await
}
