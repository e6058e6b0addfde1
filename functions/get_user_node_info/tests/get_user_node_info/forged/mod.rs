//! Everything that is no token of ours, or no longer: at the door of an endpoint that has something to hide.
//!
//! A form is an `authorization` header as the gateway passes it on. Where it makes sense it is signed with the
//! world's real key, so that what is refused is the form and not the signature.

mod claims;
mod headers;
mod kit;
mod others;
mod shape;

use std::collections::BTreeSet;

use anyhow::{Context, ensure};
use serde_json::Value;
use serde_json::value::RawValue;
use shared::runtime;
use testing::{Outcome, Result, World, binary};

use super::{DID, ENDPOINT, KEY_1, NODE_ID, call, send, wire};
use kit::Kit;

/// There are more; so few would mean that many went missing.
const AT_LEAST: usize = 200;

/// One request that must not get in.
struct Form {
    name: String,
    /// The event's headers, and its query.
    headers: Vec<(&'static str, String)>,
    query: String,
    code: &'static str,
    /// Good or bad by the second, so only for a clock that stands still.
    timed: bool,
}

#[derive(Default)]
struct Forms(Vec<Form>);

impl Forms {
    /// A token, sent as tokens are.
    fn token(&mut self, name: impl Into<String>, token: &str) -> &mut Form {
        self.header(name, format!("Bearer {token}"))
    }

    fn header(&mut self, name: impl Into<String>, authorization: String) -> &mut Form {
        self.elsewhere(name, vec![("authorization", authorization)], String::new())
    }

    fn elsewhere(
        &mut self,
        name: impl Into<String>,
        headers: Vec<(&'static str, String)>,
        query: String,
    ) -> &mut Form {
        let form = Form { name: name.into(), headers, query, code: "UNAUTHENTICATED", timed: false };
        self.0.push(form);
        let last = self.0.len() - 1;
        &mut self.0[last]
    }
}

impl Form {
    fn timed(&mut self) -> &mut Self {
        self.timed = true;
        self
    }

    fn expired(&mut self) {
        self.code = "TOKEN_EXPIRED";
    }

    fn event(&self) -> Result<Value> {
        let mut event = binary::event(&call(DID, "replaced"))?;
        let headers = event["headers"].as_object_mut().context("an event has headers")?;
        headers.remove("authorization");
        headers.extend(self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())));
        event["rawQueryString"] = self.query.as_str().into();
        Ok(event)
    }

    fn check(&self, answer: &Outcome) -> Result<()> {
        let name = &self.name;
        ensure!(answer.refusal().with_context(|| name.clone())? == (401, self.code), "{name}: {answer:?}");
        ensure!(answer.header("www-authenticate") == Some("Bearer"), "{name}: {answer:?}");
        let said = format!("{answer:?}");
        for of_the_node in [DID, NODE_ID, ENDPOINT, KEY_1, "canary", "created_at", "caddy_endpoint"] {
            ensure!(!said.contains(of_the_node), "{name} tells of the node: {said}");
        }
        for (_, sent) in &self.headers {
            ensure!(sent.len() < 40 || !said.contains(sent.as_str()), "{name} is quoted: {said}");
        }
        Ok(())
    }
}

async fn forms(kit: &Kit<'_>) -> Result<Forms> {
    let mut forms = Forms::default();
    headers::add(kit, &mut forms)?;
    claims::add(kit, &mut forms)?;
    shape::add(kit, &mut forms)?;
    others::add(kit, &mut forms).await?;
    // Two ways to bend a token can come to the same; it counts once.
    let (mut names, mut requests) = (BTreeSet::new(), BTreeSet::new());
    forms.0.retain(|form| requests.insert((form.headers.clone(), form.query.clone())));
    for form in &forms.0 {
        assert!(names.insert(&form.name), "{} is there twice", form.name);
    }
    assert!(forms.0.len() >= AT_LEAST, "{} forms", forms.0.len());
    Ok(forms)
}

#[tokio::test]
async fn no_forged_form_gets_in() -> Result<()> {
    let world = World::start().await?;
    let kit = Kit::new(&world).await?;
    let deps = wire(&world).await?;
    let forms = forms(&kit).await?;
    assert_eq!(send(&deps, call(DID, &kit.good).request()).await?.status, 200, "the good one gets in before");
    for form in &forms.0 {
        let event: Box<RawValue> = serde_json::from_str(&form.event()?.to_string())?;
        let (request, refusal) = runtime::read(&event);
        assert!(refusal.is_none(), "{}: {refusal:?}", form.name);
        form.check(&send(&deps, &request).await?)?;
    }
    assert_eq!(send(&deps, call(DID, &kit.good).request()).await?.status, 200, "and after");
    println!("{} forged forms", forms.0.len());
    Ok(())
}

#[tokio::test]
async fn no_forged_form_gets_in_at_the_binary_which_lives_through_all_of_them() -> Result<()> {
    let world = World::start().await?;
    world.catch_up();
    let kit = Kit::new(&world).await?;
    let api = world.binary(env!("CARGO_BIN_EXE_get_user_node_info"), super::NAME).await?;
    let forms = forms(&kit).await?;
    for form in forms.0.iter().filter(|form| !form.timed) {
        form.check(&binary::send(&api, &form.event()?).await.with_context(|| form.name.clone())?)?;
    }
    assert_eq!(binary::call(&api, &call(DID, &kit.good)).await?.status, 200, "the good one gets in after");
    assert!(api.exit_status().is_none(), "it is the same process");
    let logs = api.logs().join("\n");
    assert!(!logs.contains(&kit.good) && !logs.contains("panicked"), "{logs}");
    Ok(())
}

#[tokio::test]
async fn a_good_token_gets_in_as_long_as_two_clocks_may_differ() -> Result<()> {
    let world = World::start().await?;
    let kit = Kit::new(&world).await?;
    let deps = wire(&world).await?;
    let last_second = 253_402_300_799_i64;
    for (field, at) in [
        ("exp", kit.now - 4),
        ("exp", kit.now),
        ("exp", last_second),
        ("nbf", kit.now + 5),
        ("iat", kit.now + 5),
        ("iat", kit.now - 86_400),
    ] {
        let claims = kit::changed(&kit.claims(), field, Some(at.into()));
        let token = kit.signed(&kit.header(), &claims)?;
        let answer = send(&deps, call(DID, &token).request()).await?;
        assert_eq!(answer.status, 200, "{field} {at}: {answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_scheme_has_no_case_and_may_be_followed_by_more_spaces() -> Result<()> {
    let world = World::start().await?;
    let kit = Kit::new(&world).await?;
    let deps = wire(&world).await?;
    for scheme in ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer   "] {
        let mut request = call(DID, "replaced").request().clone();
        request.headers.insert("authorization", format!("{scheme}{}", kit.good).parse()?);
        assert_eq!(send(&deps, &request).await?.status, 200, "{scheme:?}");
    }
    Ok(())
}
