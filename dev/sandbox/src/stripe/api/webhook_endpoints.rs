//! `/v1/webhook_endpoints`.

use hyper::Method;
use serde_json::{Value, json};

use super::page;
use crate::{
    Service,
    stripe::{
        call::Call,
        endpoint::{Endpoint, Secret},
        errors::{Answer, Refusal},
        form::Params,
        version,
    },
    world::lock,
};

pub(super) fn answer(call: &mut Call<'_>, rest: &[&str]) -> Answer {
    match (call.method, rest) {
        (&Method::POST, []) => create(call),
        (&Method::GET, []) => {
            let all: Vec<&Endpoint> = call.state.endpoints.iter().rev().collect();
            page(call, &all, |endpoint| &endpoint.id, |endpoint| endpoint.json())
        }
        (&Method::GET, [id]) => Ok(find(call, id)?.json()),
        (&Method::POST, [id]) => {
            let params = call.params.clone();
            params.only(&["url", "enabled_events", "disabled", "description", "metadata"])?;
            let url = params.text("/url").map(|_| url(&params)).transpose()?;
            let endpoint = find(call, id)?;
            if let Some(url) = url {
                endpoint.url = url;
            }
            if params.at("/enabled_events").is_some() {
                endpoint.events = events(&params);
            }
            if params.at("/disabled").is_some() {
                endpoint.enabled = !params.is_set("/disabled");
            }
            Ok(endpoint.json())
        }
        (&Method::DELETE, [id]) => {
            find(call, id)?;
            call.state.endpoints.retain(|endpoint| endpoint.id != *id);
            lock(&call.world.counts).deleted(Service::Stripe, "webhook_endpoint");
            Ok(json!({"id": id, "object": "webhook_endpoint", "deleted": true}))
        }
        _ => Err(call.unknown()),
    }
}

/// The secret is told once, to whoever makes the endpoint.
fn create(call: &mut Call<'_>) -> Answer {
    let params = call.params.clone();
    params.only(&["url", "enabled_events", "api_version", "connect", "description", "metadata"])?;
    let url = url(&params)?;
    if params.list("/enabled_events").is_empty() {
        return Err(Refusal::missing("enabled_events"));
    }
    let api_version = params.text("/api_version").map(str::to_owned);
    if let Some(wrong) = api_version.as_deref().filter(|version| !version::is_known(version)) {
        let message = format!("Invalid API version: {wrong}");
        return Err(Refusal::param(None, "api_version", message));
    }
    let text = call.state.new_id("whsec_", 32);
    let endpoint = Endpoint {
        id: call.state.new_id("we_1", 23),
        url,
        connect: params.is_set("/connect"),
        thin: false,
        events: events(&params),
        api_version,
        enabled: true,
        secrets: vec![Secret { text: text.clone(), until_millis: None }],
        created: call.state.now(),
        description: params.text("/description").map(str::to_owned),
        metadata: params.metadata("/metadata")?,
    };
    let mut answer: Value = endpoint.json();
    answer["secret"] = json!(text);
    call.state.endpoints.push(endpoint);
    lock(&call.world.counts).created(Service::Stripe, "webhook_endpoint");
    Ok(answer)
}

fn find<'a>(call: &'a mut Call<'_>, id: &str) -> Result<&'a mut Endpoint, Refusal> {
    let known = call.state.endpoints.iter_mut().find(|endpoint| endpoint.id == id);
    known.ok_or_else(|| Refusal::none_such("webhook endpoint", id))
}

fn url(params: &Params) -> Result<String, Refusal> {
    let url = params.required("/url")?;
    let known = url::Url::parse(url).ok().filter(|url| url.scheme().starts_with("http"));
    known.map(|_| url.to_owned()).ok_or_else(|| Refusal::param(Some("url_invalid"), "url", "Not a valid URL"))
}

fn events(params: &Params) -> Option<Vec<String>> {
    Some(params.texts("/enabled_events")).filter(|all| !all.iter().any(|one| one == "*"))
}
