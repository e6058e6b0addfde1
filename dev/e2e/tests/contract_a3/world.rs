//! What the cases share: a stack, an administrator, and people as they need them.

use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::client::Request;
use e2e::person::{Person, Session};
use e2e::{Client, Stack};
use http::Method;
use serde_json::Value;

use crate::harness::cases;

pub struct World {
    pub stack: Stack,
    admin: Session,
}

/// Somebody with a verified address, signed in.
pub struct User {
    pub person: Person,
    pub session: Session,
    client: Client,
}

impl World {
    pub async fn start() -> Result<Self> {
        let stack = Stack::start().await?;
        let admin = stack.administrator().await?;
        Ok(Self { stack, admin })
    }

    pub async fn stop(self) -> Result<()> {
        self.stack.stop().await
    }

    pub async fn user(&self) -> Result<User> {
        let person = Person::new(&self.stack);
        let session = person.sign_up(&self.stack).await?;
        Ok(User { person, session, client: self.stack.client.clone() })
    }

    /// As the administrator.
    pub fn admin(&self, method: &Method, path: &str, body: Option<&Value>) -> Request {
        call(&self.stack.client, method, path, body).bearer(&self.admin.access)
    }

    /// As nobody.
    pub fn anybody(&self, method: &Method, path: &str, body: Option<&Value>) -> Request {
        call(&self.stack.client, method, path, body)
    }
}

impl User {
    pub fn user_id(&self) -> &str {
        &self.session.user_id
    }

    pub fn get(&self, path: &str) -> Request {
        self.call(&Method::GET, path, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Request {
        self.call(&Method::POST, path, Some(body))
    }

    pub fn put(&self, path: &str, body: &Value) -> Request {
        self.call(&Method::PUT, path, Some(body))
    }

    pub fn delete(&self, path: &str) -> Request {
        self.call(&Method::DELETE, path, None)
    }

    pub fn call(&self, method: &Method, path: &str, body: Option<&Value>) -> Request {
        call(&self.client, method, path, body).bearer(&self.session.access)
    }
}

fn call(client: &Client, method: &Method, path: &str, body: Option<&Value>) -> Request {
    let request = client.request(method, path);
    match body {
        Some(body) => request.header("content-type", "application/json").body(body.to_string()),
        None => request,
    }
}

cases! {
    a3_53_get_health: "GET /v1/health",
}

async fn a3_53_get_health(world: Arc<World>) -> Result<()> {
    let health = world.anybody(&Method::GET, "/v1/health", None).ok().await?;
    ensure!(health["status"] == "ok" && health["database"] == "ok", "{health}");
    Ok(())
}
