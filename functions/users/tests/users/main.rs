//! `/v1/users`
//!
//! `SATCHEL_FULL=1` runs the races in their long form.

mod create;
mod delete;
mod export;
mod owners;
mod runtime;
mod update;
mod wallet;

use serde_json::{Value, json};
use testing::world::SignedIn;
use testing::{Call, Outcome, Result, World};
use users::{Deps, handle};

const NAME: &str = "users";
const ONE: &str = "/v1/users/{id}";

async fn send(deps: &Deps, call: &Call) -> Result<Outcome> {
    Outcome::of(handle(deps, call.request()).await)
}

/// Two users and an administrator, of whom each is signed in.
struct Scene {
    world: World,
    deps: Deps,
    alice: SignedIn,
    bob: SignedIn,
    admin: SignedIn,
}

impl Scene {
    async fn new() -> Result<Self> {
        let world = World::start().await?;
        // Nobody is held back for asking often: that is another test.
        let changed = [("RATE_LIMIT_PER_SESSION", "1000000"), ("DATABASE_POOL_SIZE", "16")];
        let deps = world.wire_with(NAME, &changed, Deps::wire).await?;
        let (alice, bob) = (user(&world, "alice", "0").await?, user(&world, "bob", "1").await?);
        let admin = user(&world, "admin", "2").await?;
        let admin = world.make_admin(&admin, &world.node("admin-again")?.pubkey).await?;
        Ok(Self { world, deps, alice, bob, admin })
    }

    async fn send(&self, call: &Call) -> Result<Outcome> {
        send(&self.deps, call).await
    }

    async fn rows(&self, table: &str) -> Result<i64> {
        self.world.db.count(&format!("SELECT count(*) FROM {table}")).await
    }

    async fn sql(&self, statement: &str) -> Result<()> {
        Ok(self.world.db.admin().await?.batch_execute(statement).await?)
    }

    /// The account as its owner reads it.
    async fn get(&self, user: &SignedIn) -> Result<Outcome> {
        self.send(&on("GET", user, user)).await
    }

    fn new_user(&self, body: &Value) -> Call {
        Call::new("POST /v1/users").bearer(&self.admin.access_token).json(body)
    }
}

async fn user(world: &World, name: &str, digit: &str) -> Result<SignedIn> {
    world.sign_in(&format!("did:mnemonic:{}", digit.repeat(16)), &world.node(name)?.pubkey).await
}

/// A request of `by` about the account of `whose`.
fn on(method: &str, whose: &SignedIn, by: &SignedIn) -> Call {
    part(method, ONE, whose, by)
}

fn part(method: &str, path: &str, whose: &SignedIn, by: &SignedIn) -> Call {
    Call::new(&format!("{method} {path}")).path("id", &whose.user_id.to_string()).bearer(&by.access_token)
}

fn rename(whose: &SignedIn, by: &SignedIn, name: &str, version: i64) -> Call {
    on("PUT", whose, by).json(&json!({ "displayName": name, "version": version }))
}

fn full() -> bool {
    std::env::var_os("SATCHEL_FULL").is_some()
}
