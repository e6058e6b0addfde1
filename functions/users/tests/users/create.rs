//! `POST /v1/users`, and finding by Privy id

use futures_util::future::join_all;
use serde_json::{Value, json};
use testing::{Call, Outcome, Result};

use super::{Scene, full};

fn body() -> Value {
    json!({ "privyId": "did:privy:carol", "email": "Carol@Example.com", "displayName": " Carol " })
}

#[tokio::test]
async fn an_account_is_made_and_found_again() -> Result<()> {
    let scene = Scene::new().await?;
    let made = scene.send(&scene.new_user(&body())).await?;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, Some("\"v1\"")), "{made:?}");
    assert_eq!((made.text("/privyId")?, made.text("/displayName")?), ("did:privy:carol", "Carol"));
    let by_privy = Call::new("GET /v1/users/privy/{privyId}").path("privyId", "did:privy:carol");
    let found = scene.send(&by_privy.clone().bearer(&scene.admin.access_token)).await?;
    assert_eq!((found.status.as_u16(), &found.body), (200, &made.body));
    let nobody = Call::new("GET /v1/users/privy/{privyId}").path("privyId", "did:privy:dave");
    let nobody = scene.send(&nobody.bearer(&scene.admin.access_token)).await?;
    assert_eq!(nobody.refusal()?, (404, "NOT_FOUND"));
    let hidden = scene.send(&by_privy.bearer(&scene.bob.access_token)).await?;
    assert_eq!(hidden.refusal()?, (404, "NOT_FOUND"));
    let audited = format!(
        "audit_logs WHERE action = 'user.created' AND chain = '{}' AND details ->> 'by' = '{}'
         AND details::text NOT ILIKE '%carol%'",
        made.text("/id")?,
        scene.admin.user_id
    );
    assert_eq!((scene.rows(&audited).await?, scene.rows("audit_logs").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn an_administrator_s_word_verifies_no_e_mail() -> Result<()> {
    let scene = Scene::new().await?;
    let made = scene.send(&scene.new_user(&body())).await?;
    assert_eq!((made.text("/email")?, &made.body["emailVerified"]), ("carol@example.com", &json!(false)));
    let unproven =
        "identities WHERE kind = 'email' AND verified_at IS NULL AND subject = 'carol@example.com'";
    assert_eq!((scene.rows(unproven).await?, scene.rows("passwords").await?), (1, 0));
    Ok(())
}

#[tokio::test]
async fn what_is_taken_makes_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    assert_eq!(scene.send(&scene.new_user(&body())).await?.status, 201);
    let taken = [
        (json!({ "privyId": "did:privy:carol" }), "IDENTITY_TAKEN"),
        (json!({ "privyId": "did:privy:dave", "email": "CAROL@example.com" }), "EMAIL_TAKEN"),
    ];
    for (body, code) in taken {
        assert_eq!(scene.send(&scene.new_user(&body)).await?.refusal()?, (409, code), "{body}");
    }
    assert_eq!((scene.rows("users").await?, scene.rows("identities WHERE kind = 'privy'").await?), (4, 1));
    assert_eq!(scene.rows("distributed_locks WHERE expires_at > clock_timestamp()").await?, 0);
    Ok(())
}

#[tokio::test]
async fn each_field_is_checked_and_named() -> Result<()> {
    let scene = Scene::new().await?;
    let wrong = [
        ("privyId", json!({})),
        ("privyId", json!({ "privyId": 1 })),
        ("privyId", json!({ "privyId": "" })),
        ("privyId", json!({ "privyId": "a b" })),
        ("privyId", json!({ "privyId": "a\u{0}" })),
        ("privyId", json!({ "privyId": "x".repeat(256) })),
        ("email", json!({ "privyId": "p", "email": "nobody" })),
        ("email", json!({ "privyId": "p", "email": "a@b.c\r\nBcc: d@e.f" })),
        ("displayName", json!({ "privyId": "p", "displayName": "  " })),
        ("displayName", json!({ "privyId": "p", "displayName": "a\u{0}" })),
        ("displayName", json!({ "privyId": "p", "displayName": "é".repeat(129) })),
    ];
    for (field, body) in wrong {
        let answer = scene.send(&scene.new_user(&body)).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}");
    }
    let nothing = scene.send(&scene.new_user(&json!({})).body("{")).await?;
    assert_eq!(nothing.refusal()?, (400, "MALFORMED_REQUEST"));
    assert_eq!(scene.rows("users").await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_repeat_with_its_key_gets_the_same_account() -> Result<()> {
    let scene = Scene::new().await?;
    let call = scene.new_user(&body()).header("idempotency-key", "one");
    let (first, again) = (scene.send(&call).await?, scene.send(&call).await?);
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = scene.new_user(&json!({ "privyId": "did:privy:dave" })).header("idempotency-key", "one");
    assert_eq!(scene.send(&other).await?.refusal()?, (422, "IDEMPOTENCY_KEY_REUSED"));
    Ok(())
}

#[tokio::test]
async fn of_many_at_once_one_is_made() -> Result<()> {
    let scene = Scene::new().await?;
    let times = if full() { 100 } else { 30 };
    for keyed in [true, false] {
        let privy_id = format!("did:privy:{keyed}");
        let mut call = scene.new_user(&json!({ "privyId": privy_id }));
        if keyed {
            call = call.header("idempotency-key", "one");
        }
        let patiently = async || -> Result<Outcome> {
            loop {
                let answer = scene.send(&call).await?;
                if answer.header("retry-after").is_none() {
                    return Ok(answer);
                }
            }
        };
        let answers: Vec<_> =
            join_all((0..times).map(|_| patiently())).await.into_iter().collect::<Result<_>>()?;
        let made = answers.iter().filter(|answer| answer.status == 201).count();
        let taken = answers.iter().filter(|answer| answer.error() == (409, "IDENTITY_TAKEN")).count();
        assert_eq!((made, taken), if keyed { (times, 0) } else { (1, times - 1) });
        assert_eq!(scene.rows(&format!("identities WHERE subject = '{privy_id}'")).await?, 1);
    }
    assert_eq!(scene.rows("users").await?, 5);
    Ok(())
}
