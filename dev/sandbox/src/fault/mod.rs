//! Misbehaviour on request: which requests, how often, and what goes wrong.

mod chaos;
pub(crate) mod control;
mod misbehaviour;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

pub use chaos::Chaos;
pub(crate) use misbehaviour::Job;
pub use misbehaviour::Misbehaviour;

use crate::{
    Service,
    reply::Reply,
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

impl Fault {
    fn check(&self) -> anyhow::Result<()> {
        if let When::Probability(p) = self.when {
            anyhow::ensure!((0.0..=1.0).contains(&p), "probability {p} is not between 0 and 1");
        }
        self.misbehave.check()
    }
}

#[derive(Default)]
pub(crate) struct FaultState {
    script: Vec<Fault>,
    draws: u64,
    away: BTreeSet<Service>,
    chaos: BTreeMap<Service, Chaos>,
    struck: BTreeMap<(Service, &'static str), u64>,
    /// The last successful answer to a POST, by path.
    earlier: HashMap<(Service, String), Reply>,
}

/// What goes wrong: first who is away, then the script, then chaos.
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

    /// The service closes every connection as soon as a request for it arrives, until it is [`back`](Self::back).
    pub fn away(&self, service: Service) {
        lock(&self.0.faults).away.insert(service);
    }

    pub fn back(&self, service: Service) {
        lock(&self.0.faults).away.remove(&service);
    }

    pub fn is_away(&self, service: Service) -> bool {
        lock(&self.0.faults).away.contains(&service)
    }

    /// Everybody is back and everything behaves again.
    pub fn clear(&self) {
        let mut state = lock(&self.0.faults);
        state.script.clear();
        state.away.clear();
        state.chaos.clear();
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

    /// What happens to this request, the `count`-th of its method and path; uses up one of a counted fault.
    pub(crate) fn draw(
        &self,
        service: Service,
        method: &str,
        path: &str,
        count: u64,
    ) -> Option<Misbehaviour> {
        let mut state = lock(&self.0.faults);
        let FaultState { script, draws, chaos, struck, .. } = &mut *state;
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
        fault.or_else(|| {
            let kind = chaos.get(&service)?.draw(service, method, path, count)?;
            *struck.entry((service, kind.kind())).or_default() += 1;
            Some(kind)
        })
    }
}
