//! Over the Runtime API, with the real binary.

use serde_json::json;
use testing::{Call, Result, World, binary};

use super::{DID, KEY, LINK, NAME, UNLINK, kinds};

#[tokio::test]
async fn the_binary_answers_as_the_handler_does() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let user = world.sign_in(DID, KEY).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_identities"), NAME).await?;
    let event = Call::from_event(NAME)?.bearer(&user.access_token);
    assert_eq!(kinds(&binary::call(&api, &event).await?), ["did", "node"]);
    let link = Call::new(LINK).bearer(&user.access_token).json(&json!({ "email": "grace@example.com" }));
    assert_eq!(binary::call(&api, &link).await?.status, 202);
    assert_eq!(world.sandbox.mail().inbox("grace@example.com").len(), 1);
    let unlink = Call::new(UNLINK).path("kind", "node").bearer(&user.access_token);
    assert_eq!(binary::call(&api, &unlink).await?.refusal()?, (409, "CONFLICT"));
    assert!(!api.logs().join("\n").contains("grace@example.com"));
    Ok(())
}
