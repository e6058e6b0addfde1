//! `$default`

use serde_json::{Value, json};
use testing::{Call, Outcome, Result, World, binary, request};
use unknown_route::{Deps, handle};

const BINARY: &str = env!("CARGO_BIN_EXE_unknown_route");
const NAME: &str = "unknown_route";
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

/// Every path of the deployment, and the methods it takes.
const PATHS: [(&str, &str); 9] = [
    ("/v1/challenges", "POST"),
    ("/v1/challenges/verify", "POST"),
    ("/v1/nodes", "POST"),
    // Also `GET /v1/nodes/{did}`.
    ("/v1/nodes/rebind", "POST, GET"),
    ("/v1/nodes/did:mnemonic:9f86d081884c7d65", "GET"),
    ("/v1/nodes/{did}", "GET"),
    ("/v1/health", "GET"),
    ("/.well-known/openid-configuration", "GET"),
    ("/.well-known/jwks.json", "GET"),
];

async fn ask(deps: &Deps, method: &str, path: &str) -> Result<Outcome> {
    Outcome::of(handle(deps, Call::new(&format!("{method} {path}")).request()).await)
}

#[tokio::test]
async fn the_event_file_is_answered_with_not_found() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;

    let answer = Outcome::of(handle(&deps, Call::from_event(NAME)?.request()).await)?;

    assert_eq!(answer.refusal()?, (404, "NOT_FOUND"));
    assert_eq!(answer.text("/message")?, "there is no such path");
    assert_eq!(answer.header("allow"), None);
    Ok(())
}

#[tokio::test]
async fn a_path_nobody_serves_is_not_found_whatever_the_method() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let long = format!("/v1/{}", "canary/".repeat(1_000));
    let paths = [
        "",
        "/",
        "//",
        "/v1",
        "/v1/",
        "/v2/health",
        "/api/v1/health",
        "/canary",
        "/v1/canary",
        "/v1/health/canary",
        "/v1/nodes/did/canary",
        "/v1/challenges/verify/canary",
        "/.well-known",
        "/.well-known/",
        "/.well-known/openid-configuration.json",
    ];
    for path in paths {
        for method in METHODS {
            let answer = ask(&deps, method, path).await?;
            assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{method} {path}");
            assert_eq!(answer.header("allow"), None, "{method} {path}");
            assert!(!answer.reply.body.contains("canary"), "a caller's words are not repeated: {answer:?}");
        }
    }
    assert_eq!(ask(&deps, "GET", &long).await?.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}

#[tokio::test]
async fn a_path_that_only_looks_like_one_of_ours_is_not_found() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    let odd = [
        // An empty part, at either end or between, is a part.
        "/v1/health/",
        "//v1/health",
        "/v1//health",
        "/v1/health//",
        "v1/health",
        "/v1/challenges/",
        "/v1/challenges//verify",
        "/v1/nodes/",
        "/v1/nodes//",
        "/v1/nodes/did:mnemonic:9f86d081884c7d65/",
        // Paths are case-sensitive, and dots are no way up.
        "/V1/health",
        "/v1/Health",
        "/v1/nodes/../health",
        "/v1/./health",
        // The gateway decodes once; what is still encoded is another path.
        "/v1%2Fhealth",
        "/v1/%68ealth",
        "/v1/health%2F",
        "/v1/health%20",
        "/v1/health ",
        " /v1/health",
        "/v1/health\0",
        "/v1/health;a=b",
        "/v1/heålth",
        "https://api.example.com/v1/health",
    ];
    for path in odd {
        for method in METHODS {
            let answer = ask(&deps, method, path).await?;
            assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{method} {path:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_path_of_ours_says_which_methods_it_takes() -> Result<()> {
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    for (path, allowed) in PATHS {
        for method in METHODS.into_iter().filter(|method| !allowed.contains(method)) {
            let answer = ask(&deps, method, path).await?;
            assert_eq!(answer.refusal()?, (405, "METHOD_NOT_ALLOWED"), "{method} {path}");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_answer_refuses_a_method_and_names_it_as_taken() -> Result<()> {
    // The gateway compares the path before it decodes it, so that `GET /v1/%68ealth` comes here as
    // `GET /v1/health`.
    let world = World::start().await?;
    let deps = world.wire(NAME, Deps::wire).await?;
    for (path, allowed) in PATHS {
        for method in allowed.split(", ") {
            let answer = ask(&deps, method, path).await?;
            assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{method} {path}");
            assert_eq!(answer.header("allow"), None, "{method} {path}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_binary_answers_in_the_one_form() -> Result<()> {
    let world = World::start().await?;
    let api = world.binary(BINARY, NAME).await?;
    let event: Value = serde_json::from_str(&request::event_text(NAME)?)?;
    let asking = |method: &str, path: &str| {
        let mut event = event.clone();
        event["rawPath"] = json!(path);
        event["requestContext"]["http"]["path"] = json!(path);
        event["requestContext"]["http"]["method"] = json!(method);
        event
    };

    assert_eq!(binary::send(&api, &event).await?.refusal()?, (404, "NOT_FOUND"));
    for method in METHODS {
        let answer = binary::send(&api, &asking(method, "/v1//health")).await?;
        assert_eq!(answer.refusal()?, (404, "NOT_FOUND"), "{method}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    for (path, allowed) in PATHS {
        for method in METHODS.into_iter().filter(|method| !allowed.contains(method)) {
            let answer = binary::send(&api, &asking(method, path)).await?;
            assert_eq!(answer.refusal()?, (405, "METHOD_NOT_ALLOWED"), "{method} {path}");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
    }

    // A body is nobody's business here, unless the gateway itself is wrong about it.
    let mut bad = asking("POST", "/v1/nowhere");
    bad["body"] = json!("%%%");
    assert_eq!(binary::send(&api, &bad).await?.refusal()?, (404, "NOT_FOUND"));
    bad["isBase64Encoded"] = json!(true);
    assert_eq!(binary::send(&api, &bad).await?.refusal()?, (400, "MALFORMED_REQUEST"));
    assert_eq!(binary::send(&api, &event).await?.refusal()?, (404, "NOT_FOUND"));
    binary::logs_the_request_once(&api, &Call::new("GET /v1/nowhere")).await
}

#[tokio::test]
async fn the_binary_needs_its_routes_and_nothing_else() -> Result<()> {
    let world = World::start().await?;
    binary::refuses_to_start(BINARY, &[].into(), &["ROUTES is missing"], &[]).await?;
    for weak in ["canary", "POST /v1/nodes, canary", "POST v1/canary", "POST /v1/nodes,,GET /v1/canary", ","]
    {
        let environment = [("ROUTES".to_owned(), weak.to_owned())].into();
        let problem = "ROUTES is not a list of routes such as GET /v1/health";
        binary::refuses_to_start(BINARY, &environment, &[problem], &["canary"]).await?;
    }

    // Neither a database nor Secrets Manager nor credentials.
    let routes = world.environment(NAME)?.remove("ROUTES").unwrap_or_default();
    let api = binary::RuntimeApi::start(BINARY, &[("ROUTES".to_owned(), routes)].into()).await?;
    let answer = binary::call(&api, &Call::new("GET /v1/nowhere")).await?;
    assert_eq!(answer.refusal()?, (404, "NOT_FOUND"));
    Ok(())
}
