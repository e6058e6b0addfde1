//! One thing that happens at Stripe, by a request or by itself: on whose account, and at whose request.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    delivery,
    event::{StoredEvent, snapshot},
    kind::Kind,
    state::{Stored, StripeState},
};
use crate::{
    Service,
    world::{World, lock},
};

pub(crate) struct Act<'a> {
    pub(crate) world: &'a Arc<World>,
    pub(crate) state: &'a mut StripeState,
    /// Whose objects; `None` is the platform's own.
    pub(crate) account: Option<String>,
    /// The id of the request and its `Idempotency-Key`; `None` for what happens by itself.
    pub(crate) request: Option<(String, Option<String>)>,
}

impl Act<'_> {
    pub(crate) fn now(&self) -> i64 {
        self.state.now()
    }

    /// The same on another account.
    pub(crate) fn on(&mut self, account: Option<String>) -> Act<'_> {
        Act { world: self.world, state: self.state, account, request: self.request.clone() }
    }

    /// A new object of these members, and of those all objects have; gives its id.
    pub(crate) fn make(&mut self, kind: Kind, members: Value) -> String {
        let (prefix, more) = kind.prefix();
        let id = self.state.new_id(prefix, more);
        let mut value = json!({
            "id": id,
            "object": kind.object(),
            "created": self.now(),
            "livemode": self.state.settings.livemode,
            "metadata": {},
        });
        merge(&mut value, members);
        let account = self.account.clone();
        self.state.insert(id.clone(), Stored { kind, account, value, hidden: json!({}) });
        lock(&self.world.counts).created(Service::Stripe, kind.counted());
        id
    }

    /// One of this account's.
    pub(crate) fn find(&self, kind: Kind, id: &str) -> Option<&Stored> {
        self.state.any(id).filter(|one| one.kind == kind && one.account == self.account)
    }

    pub(crate) fn known(&self, kind: Kind, id: &str) -> anyhow::Result<&Value> {
        let found = self.find(kind, id).map(|one| &one.value);
        found.with_context(|| format!("there is no {} {id:?}", kind.object()))
    }

    /// A member of any object; null when there is none.
    pub(crate) fn member(&self, id: &str, name: &str) -> Value {
        self.state.any(id).map(|one| one.value[name].clone()).unwrap_or_default()
    }

    pub(crate) fn text(&self, id: &str, name: &str) -> String {
        self.member(id, name).as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn number(&self, id: &str, name: &str) -> i64 {
        self.member(id, name).as_i64().unwrap_or_default()
    }

    pub(crate) fn hidden(&self, id: &str, name: &str) -> Value {
        self.state.any(id).map(|one| one.hidden[name].clone()).unwrap_or_default()
    }

    pub(crate) fn hide(&mut self, id: &str, members: Value) {
        if let Some(one) = self.state.any_mut(id) {
            merge(&mut one.hidden, members);
        }
    }

    /// These members, in place of what they were; gives what they were.
    pub(crate) fn change(&mut self, id: &str, members: Value) -> Value {
        let Some(one) = self.state.any_mut(id) else { return json!({}) };
        let names = members.as_object().into_iter().flat_map(|all| all.keys());
        let before = names.map(|name| (name.clone(), one.value[name.as_str()].clone())).collect();
        merge(&mut one.value, members);
        Value::Object(before)
    }

    pub(crate) fn emit(&mut self, kind: &str, id: &str) {
        let object = snapshot(self.state, id);
        self.tell(kind, object, Value::Null);
    }

    /// With what the changed members were before.
    pub(crate) fn emit_changed(&mut self, kind: &str, id: &str, before: Value) {
        let object = snapshot(self.state, id);
        self.tell(kind, object, before);
    }

    /// An event of this very object, whatever it is; gives its id.
    pub(crate) fn tell(&mut self, kind: &str, object: Value, before: Value) -> String {
        let event = StoredEvent {
            id: self.state.new_id("evt_1", 23),
            kind: kind.to_owned(),
            account: self.account.clone(),
            created: self.now(),
            livemode: self.state.settings.livemode,
            object,
            before,
            request: self.request.clone(),
            thin: None,
            pending: BTreeSet::new(),
            told: 0,
        };
        self.publish(event)
    }

    pub(crate) fn publish(&mut self, event: StoredEvent) -> String {
        let id = event.id.clone();
        let number = self.state.events.len();
        self.state.events.push(event);
        lock(&self.world.counts).created(Service::Stripe, "event");
        delivery::dispatch(self.world, self.state, number);
        id
    }
}

fn merge(value: &mut Value, members: Value) {
    if let (Some(all), Value::Object(new)) = (value.as_object_mut(), members) {
        all.extend(new);
    }
}
