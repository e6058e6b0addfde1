//! Misbehaviour on request: which requests, how often, and what goes wrong.

use std::{sync::Arc, time::Duration};

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{
    Service,
    world::{World, lock},
};

/// One scripted fault. Of several that match a request the first that fires is applied, alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default)]
    pub route: Route,
    #[serde(default)]
    pub when: When,
    pub misbehave: Misbehaviour,
}

/// Which requests: an absent member matches all. Secrets Manager's path is the operation: `/GetSecretValue`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Route {
    pub service: Option<Service>,
    pub method: Option<String>,
    /// A prefix of the path.
    pub path: String,
}

impl Route {
    pub fn service(service: Service) -> Self {
        Self { service: Some(service), ..Self::default() }
    }

    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    #[must_use]
    pub fn path(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.path);
        self
    }

    fn matches(&self, service: Service, method: &str, path: &str) -> bool {
        self.service.is_none_or(|s| s == service)
            && self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method))
            && path.starts_with(&self.path)
    }
}

/// How often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Always,
    /// The next so many matching requests.
    Times(u32),
    /// Each matching request, with this probability; drawn from the sandbox's seed.
    Probability(f64),
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Misbehaviour {
    /// Answers so, and does nothing.
    FailBefore { status: u16, body: String },
    /// Does the work, then answers so: the ambiguous outcome.
    FailAfter { status: u16, body: String },
    /// Waits, then does the work and answers.
    Stall { millis: u64 },
    /// Does the work, promises the whole answer, sends only its first bytes and closes.
    CutBody { bytes: usize },
    /// Does the work, then answers 200 with bytes that are no JSON.
    Garbage,
    /// Does the work twice, as when a proxy repeats a request; answers the second time's answer.
    Duplicate,
    /// Closes the connection, and does nothing.
    CloseBefore,
    /// Does the work, then closes the connection without an answer.
    CloseAfter,
}

impl Misbehaviour {
    pub fn stall(duration: Duration) -> Self {
        Self::Stall { millis: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl Fault {
    fn check(&self) -> anyhow::Result<()> {
        if let When::Probability(p) = self.when {
            anyhow::ensure!((0.0..=1.0).contains(&p), "probability {p} is not between 0 and 1");
        }
        if let Misbehaviour::FailBefore { status, .. } | Misbehaviour::FailAfter { status, .. } =
            &self.misbehave
        {
            let known = StatusCode::from_u16(*status).ok().filter(|s| !s.is_informational());
            anyhow::ensure!(known.is_some(), "{status} is not a status an answer can have");
        }
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct FaultState {
    script: Vec<Fault>,
    draws: u64,
}

/// The script of faults.
#[derive(Clone)]
pub struct Faults(pub(crate) Arc<World>);

impl Faults {
    pub fn add(&self, route: Route, when: When, misbehave: Misbehaviour) -> anyhow::Result<()> {
        self.push(Fault { route, when, misbehave })
    }

    pub(crate) fn push(&self, fault: Fault) -> anyhow::Result<()> {
        fault.check()?;
        lock(&self.0.faults).script.push(fault);
        Ok(())
    }

    /// The service closes every connection without an answer, before anything else in the script.
    pub fn down(&self, service: Service) {
        self.everywhere(service, Misbehaviour::CloseBefore);
    }

    /// The service answers every request with HTTP 500, before anything else in the script.
    pub fn broken(&self, service: Service) {
        self.everywhere(service, Misbehaviour::FailBefore { status: 500, body: "out of order".into() });
    }

    /// Ends `down` and `broken`; finer faults of the service stay.
    pub fn up(&self, service: Service) {
        let whole = Route::service(service);
        lock(&self.0.faults).script.retain(|f| f.route != whole || f.when != When::Always);
    }

    /// Everything behaves again.
    pub fn clear(&self) {
        lock(&self.0.faults).script.clear();
    }

    /// The faults still to fire.
    pub fn list(&self) -> Vec<Fault> {
        lock(&self.0.faults).script.clone()
    }

    fn everywhere(&self, service: Service, misbehave: Misbehaviour) {
        self.up(service);
        let fault = Fault { route: Route::service(service), when: When::Always, misbehave };
        lock(&self.0.faults).script.insert(0, fault);
    }

    /// What happens to this request; uses up one of a counted fault.
    pub(crate) fn draw(&self, service: Service, method: &str, path: &str) -> Option<Misbehaviour> {
        let mut state = lock(&self.0.faults);
        let FaultState { script, draws } = &mut *state;
        let mut fires = |fault: &mut Fault| match &mut fault.when {
            _ if !fault.route.matches(service, method, path) => false,
            When::Always => true,
            When::Times(0) => false,
            When::Times(left) => {
                *left -= 1;
                true
            }
            When::Probability(p) => {
                *draws += 1;
                self.0.seed.fraction(&format!("fault {draws}")) < *p
            }
        };
        let fault = script.iter_mut().find_map(|fault| fires(fault).then(|| fault.misbehave.clone()));
        script.retain(|fault| fault.when != When::Times(0));
        fault
    }
}
