//! Names for a Lightning setup that come with the account.

use serde_json::{Value, json};
use testing::{Result, World};

use super::{MANY, NAME, PASSWORD, rows, send, wire, with};
use register_account::Deps;

fn wishing(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "username": "satoshi" })
}

#[tokio::test]
async fn an_account_with_a_user_name_begins_a_setup() -> Result<()> {
    let world = World::start().await?;
    let answer = send(&wire(&world).await?, &with(&wishing("a@example.com"))).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["lightning_setup"], json!({ "status": "in_progress" }));
    let begun = "lightning_setups WHERE username = 'satoshi' AND address = 'satoshi@pay.example.com'
                 AND state = 'running' AND user_id = (SELECT id FROM users)";
    assert_eq!(rows(&world, begun).await?, 1);
    assert_eq!(rows(&world, "audit_logs WHERE action = 'setup.begun'").await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_taken_takes_no_account_away() -> Result<()> {
    let world = World::start().await?;
    let deps = wire(&world).await?;
    send(&deps, &with(&wishing("a@example.com"))).await?;
    let answer = send(&deps, &with(&wishing("b@example.com"))).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body["lightning_setup"], json!({ "status": "failed", "error": "ADDRESS_TAKEN" }));
    assert_eq!((rows(&world, "users").await?, rows(&world, "sessions").await?), (2, 2));
    Ok(())
}

#[tokio::test]
async fn where_setups_are_switched_off_the_answer_says_so() -> Result<()> {
    let world = World::start().await?;
    let off = [MANY, &[("SETUP_ENABLED", "false")]].concat();
    let deps = world.wire_with(NAME, &off, Deps::wire).await?;
    let answer = send(&deps, &with(&wishing("a@example.com"))).await?;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["lightning_setup"]),
        (201, &json!({ "status": "disabled" }))
    );
    Ok(())
}
