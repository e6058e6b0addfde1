//! `/v1/subscriptions`.

use hyper::Method;
use serde_json::json;

use super::{done, known, list_of, sessions, show};
use crate::stripe::{call::Call, errors::Answer, event::snapshot, kind::Kind};

pub(super) fn subscriptions(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::GET, []) => list_of(call, Kind::Subscription, &["customer", "status"]),
        (&Method::GET, [id]) => show(call, Kind::Subscription, id),
        (&Method::POST, [id]) => {
            known(&call.act(), Kind::Subscription, id)?;
            let params = call.params.clone();
            params.only(&["metadata", "cancel_at_period_end"])?;
            let mut act = call.act();
            let mut members =
                json!({"metadata": sessions::metadata_change(&params, &act.member(id, "metadata"))?});
            if params.at("/cancel_at_period_end").is_some() {
                let ends = params.is_set("/cancel_at_period_end");
                let at = ends.then(|| (act.now(), act.number(id, "current_period_end"))).unzip();
                members["cancel_at_period_end"] = json!(ends);
                members["canceled_at"] = json!(at.0);
                members["cancel_at"] = json!(at.1);
            }
            act.update_subscription(id, members);
            Ok(snapshot(call.state, id))
        }
        (&Method::DELETE, [id]) | (&Method::POST, [id, "cancel"]) => {
            known(&call.act(), Kind::Subscription, id)?;
            done(call.act().set_subscription(id, "canceled"), "resource_missing")?;
            Ok(snapshot(call.state, id))
        }
        _ => Err(call.unknown()),
    }
}
