//! `POST /v1/lightning/setup` and what belongs to it.

use sandbox::lnd::Node;
use serde_json::{Value, json};
use setup_lightning::{Deps, handle};
use testing::{Call, Outcome, Result, SignedIn, World};

const ROUTE: &str = "POST /v1/lightning/setup";
const NAME: &str = "setup_lightning";
const DID: &str = "did:mnemonic:9f86d081884c7d65";
const OTHER_DID: &str = "did:mnemonic:1111111111111111";

async fn wire(world: &World) -> Result<Deps> {
    world.wire(NAME, Deps::wire).await
}

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// Somebody signed in with a node of their own.
struct User {
    session: SignedIn,
    node: Node,
}

impl User {
    async fn new(world: &World, did: &str, name: &str) -> Result<Self> {
        let node = world.node(name)?;
        let session = world.sign_in(did, &node.pubkey).await?;
        Ok(Self { session, node })
    }

    fn call(&self, route: &str) -> Call {
        Call::new(route).bearer(&self.session.access_token)
    }

    fn setup(&self, body: &Value) -> Call {
        self.call(ROUTE).json(body)
    }

    fn status(&self) -> Call {
        self.call("GET /v1/lightning/setup")
    }

    fn retry(&self) -> Call {
        self.call("POST /v1/lightning/setup/retry")
    }

    fn handover(&self) -> Call {
        self.call("POST /v1/lightning/setup/handover")
    }
}

async fn rows(world: &World, table: &str) -> Result<i64> {
    world.db.count(&format!("SELECT count(*) FROM {table}")).await
}

#[tokio::test]
async fn one_request_makes_a_store_and_a_node_and_connects_them() -> Result<()> {
    let world = World::start().await?;
    let user = User::new(&world, DID, "alice").await?;
    let answer = send(&wire(&world).await?, &user.setup(&json!({ "username": "satoshi" }))).await?;
    assert_eq!(answer.status, 200, "{answer:#?}");
    Ok(())
}
