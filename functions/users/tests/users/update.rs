//! `PUT /v1/users/{id}`: nobody's change is lost unseen.

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::json;
use testing::Result;

use super::{Scene, full, on, rename};

#[tokio::test]
async fn a_name_is_changed_by_who_read_the_last_version() -> Result<()> {
    let scene = Scene::new().await?;
    let (alice, admin) = (&scene.alice, &scene.admin);
    let changed = scene.send(&rename(alice, alice, " Alice ", 1)).await?;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"v2\"")), "{changed:?}");
    assert_eq!((changed.text("/displayName")?, &changed.body["version"]), ("Alice", &json!(2)));
    let late = scene.send(&rename(alice, admin, "Late", 1)).await?;
    assert_eq!(late.refusal()?, (409, "VERSION_CONFLICT"));
    assert_eq!(late.text("/message")?, "User has been modified by another request. Please retry.");
    let by_tag = on("PUT", alice, admin).header("if-match", "\"v2\"").json(&json!({ "displayName": null }));
    let cleared = scene.send(&by_tag).await?;
    assert_eq!((cleared.status.as_u16(), &cleared.body["displayName"]), (200, &json!(null)));
    assert_eq!(scene.get(alice).await?.body, cleared.body);
    Ok(())
}

#[tokio::test]
async fn an_administrator_s_change_of_somebody_else_s_name_is_audited_there_and_one_s_own_is_not()
-> Result<()> {
    let scene = Scene::new().await?;
    for (whose, by, version, status) in [
        (&scene.alice, &scene.alice, 1, 200),
        (&scene.admin, &scene.admin, 1, 200),
        // What changed nothing is nobody's to know.
        (&scene.alice, &scene.admin, 1, 409),
    ] {
        assert_eq!(scene.send(&rename(whose, by, "x", version)).await?.status, status);
    }
    assert_eq!(scene.rows("audit_logs").await?, 0);

    let changed = scene.send(&rename(&scene.alice, &scene.admin, "Sneaky", 2)).await?;
    assert_eq!((changed.status.as_u16(), changed.text("/displayName")?), (200, "Sneaky"));
    let audited = format!(
        "audit_logs WHERE action = 'user.renamed' AND chain = '{alice}' AND user_id = '{alice}'
         AND details ->> 'by' = '{}'",
        scene.admin.user_id,
        alice = scene.alice.user_id
    );
    assert_eq!((scene.rows(&audited).await?, scene.rows("audit_logs").await?), (1, 1));
    Ok(())
}

#[tokio::test]
async fn who_does_not_say_what_they_read_changes_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let put = |body| on("PUT", &scene.alice, &scene.alice).json(&body);
    let name = json!({ "displayName": "Alice" });
    let wrong = [
        (put(name.clone()), "version"),
        (put(name.clone()).header("if-match", "*"), "version"),
        (put(name.clone()).header("if-match", "v1"), "If-Match"),
        (put(json!({ "displayName": "A", "version": 2 })).header("if-match", "\"v1\""), "version"),
        (put(json!({ "version": 1 })), "displayName"),
        (put(json!({ "displayName": "", "version": 1 })), "displayName"),
        (put(json!({ "displayName": "a\nb", "version": 1 })), "displayName"),
        (put(json!({ "displayName": "x".repeat(129), "version": 1 })), "displayName"),
        (put(json!({ "displayName": "A", "version": "1" })), "version"),
    ];
    for (call, field) in wrong {
        let answer = scene.send(&call).await?;
        assert_eq!(answer.refusal()?, (400, "VALIDATION_FAILED"), "{field}: {answer:?}");
        assert_eq!(answer.fields(), [field]);
    }
    assert_eq!(scene.get(&scene.alice).await?.header("etag"), Some("\"v1\""));
    Ok(())
}

#[tokio::test]
async fn of_many_writers_each_change_is_one_version() -> Result<()> {
    let scene = &Scene::new().await?;
    let (writers, updates) = if full() { (100, 100) } else { (20, 10) };
    let write = async |writer: usize| -> Result<(i64, i64)> {
        let (mut won, mut lost, mut version) = (0, 0, 1);
        for nth in 0..updates {
            let name = format!("{writer} {nth}");
            let answer = scene.send(&rename(&scene.alice, &scene.alice, &name, version)).await?;
            match answer.error() {
                (200, _) => won += 1,
                (409, "VERSION_CONFLICT") => lost += 1,
                other => anyhow::bail!("{other:?}"),
            }
            version = scene.get(&scene.alice).await?.body["version"].as_i64().unwrap_or_default();
        }
        Ok((won, lost))
    };
    let ends: Vec<_> = join_all((0..writers).map(write)).await.into_iter().collect::<Result<_>>()?;
    let (won, lost) = ends.iter().fold((0, 0), |sum, end| (sum.0 + end.0, sum.1 + end.1));
    assert_eq!(won + lost, i64::try_from(writers * updates)?);
    assert_eq!(scene.get(&scene.alice).await?.body["version"], json!(1 + won));
    assert!(lost > 0, "nobody met anybody");
    Ok(())
}

/// What comes of any order of changes is what a model without a database says.
#[test]
fn a_change_is_made_if_and_only_if_the_version_is_the_last_one() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scene = runtime.block_on(Scene::new()).unwrap();
    let last = std::cell::Cell::new((1, None::<String>));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(150));
    let cases = (-1_i64..=1, "[a-zA-Z0-9é☕]{1,20}", any::<bool>());
    runner
        .run(&cases, |(off, name, as_header)| {
            let (version, kept) = last.take();
            let asked = version + off;
            let body = if as_header {
                json!({ "displayName": name })
            } else {
                json!({ "displayName": name, "version": asked })
            };
            let mut call = on("PUT", &scene.alice, &scene.alice).json(&body);
            if as_header {
                call = call.header("if-match", &format!("\"v{asked}\""));
            }
            let (answer, after) = runtime.block_on(async {
                (scene.send(&call).await.unwrap(), scene.get(&scene.alice).await.unwrap())
            });
            let expected = if off == 0 { (version + 1, Some(name)) } else { (version, kept) };
            prop_assert_eq!(answer.status.as_u16(), if off == 0 { 200 } else { 409 });
            prop_assert_eq!(&after.body["version"], &json!(expected.0));
            prop_assert_eq!(&after.body["displayName"], &json!(expected.1));
            last.set(expected);
            Ok(())
        })
        .unwrap();
}
