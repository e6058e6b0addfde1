//! Events on their way to endpoints: all at once, in no order, each tried again until it is taken.

use std::{sync::Arc, time::Duration};

use hyper::{body::Bytes, header::HeaderName};

use super::{signature, state::StripeState};
use crate::{
    clock,
    post::{Outcome, post},
    world::{World, lock},
};

const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

/// One event for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) endpoint: String,
    pub(crate) event: usize,
}

/// One try.
#[derive(Debug, Clone)]
pub(crate) struct StoredDelivery {
    pub(crate) endpoint: String,
    pub(crate) event: String,
    pub(crate) kind: String,
    pub(crate) signature: String,
    pub(crate) body: Bytes,
    pub(crate) outcome: Outcome,
}

/// To every endpoint that asked for it.
pub(crate) fn dispatch(world: &Arc<World>, state: &mut StripeState, event: usize) {
    let Some(known) = state.events.get_mut(event) else { return };
    let (connect, thin) = (known.account.is_some(), known.thin.is_some());
    let wanted = state.endpoints.iter().filter(|one| one.enabled && one.connect == connect);
    let wanted = wanted.filter(|one| one.thin == thin && one.wants(&known.kind));
    let endpoints: Vec<String> = wanted.map(|one| one.id.clone()).collect();
    known.told = endpoints.len();
    known.pending = endpoints.iter().cloned().collect();
    for endpoint in endpoints {
        schedule(world, state, Parcel { endpoint, event });
    }
}

pub(crate) fn schedule(world: &Arc<World>, state: &mut StripeState, parcel: Parcel) {
    if taken(&mut state.settings.drop_next) {
        return;
    }
    if taken(&mut state.settings.hold_next) {
        state.held.push(parcel);
        if state.settings.hold_next == 0 {
            release(world, state);
        }
        return;
    }
    launch(world, state, &parcel);
}

/// One of so many left, if there is one.
fn taken(left: &mut u64) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

/// All that are held, in an order drawn from the seed: each is begun when the one before it has been answered once.
pub(crate) fn release(world: &Arc<World>, state: &mut StripeState) {
    state.settings.hold_next = 0;
    let held = std::mem::take(&mut state.held);
    let label = format!("stripe order {}", state.events.len());
    let shuffled = state.seed.shuffle(&label, held);
    state.under_way += shuffled.len();
    let world = Arc::clone(world);
    world.runtime.clone().spawn(async move {
        for parcel in shuffled {
            let further = first_try(&world, &parcel, Duration::ZERO).await;
            tokio::spawn(until_stopped(Arc::clone(&world), parcel, further));
        }
    });
}

fn launch(world: &Arc<World>, state: &mut StripeState, parcel: &Parcel) {
    let times = if taken(&mut state.settings.double_next) { 2 } else { 1 };
    state.under_way += times;
    for time in 0..times {
        let (world, parcel) = (Arc::clone(world), parcel.clone());
        let lot = state.seed.fraction(&format!("stripe scatter {} {} {time}", parcel.event, parcel.endpoint));
        let later = state.settings.scatter.mul_f64(lot);
        world.runtime.clone().spawn(async move {
            let further = first_try(&world, &parcel, later).await;
            until_stopped(world, parcel, further).await;
        });
    }
}

/// The waits before further tries: none when it was taken, or its endpoint is gone.
async fn first_try(world: &World, parcel: &Parcel, later: Duration) -> Vec<Duration> {
    let (delay, waits) = {
        let settings = &lock(&world.stripe).settings;
        let waits = settings.waits.iter().map(|wait| wait.mul_f64(settings.wait_factor)).collect();
        (settings.delay, waits)
    };
    let mut stopped = world.stopped.clone();
    let tried = async {
        tokio::time::sleep(delay + later).await;
        attempt(world, parcel).await
    };
    // An error of the channel means that the sandbox was dropped.
    let done = tokio::select! { _ = stopped.changed() => true, done = tried => done };
    if done { Vec::new() } else { waits }
}

async fn until_stopped(world: Arc<World>, parcel: Parcel, waits: Vec<Duration>) {
    let mut stopped = world.stopped.clone();
    let further = async {
        for wait in waits {
            tokio::time::sleep(wait).await;
            if attempt(&world, &parcel).await {
                break;
            }
        }
    };
    tokio::select! { _ = stopped.changed() => {} () = further => {} }
    lock(&world.stripe).under_way -= 1;
}

/// Whether that was the end of it.
async fn attempt(world: &World, parcel: &Parcel) -> bool {
    let lines = Arc::clone(&lock(&world.stripe).lines);
    // Nobody closes it.
    let _line = lines.acquire().await;
    let Some((url, mut sent, within)) = prepare(&mut lock(&world.stripe), parcel) else { return true };
    sent.outcome = post(&url, (SIGNATURE, &sent.signature), sent.body.clone(), within).await;
    let taken = matches!(sent.outcome.status(), Some(200..=299));
    let mut state = lock(&world.stripe);
    state.deliveries.push(sent);
    if taken && let Some(event) = state.events.get_mut(parcel.event) {
        event.pending.remove(&parcel.endpoint);
    }
    taken
}

fn prepare(state: &mut StripeState, parcel: &Parcel) -> Option<(String, StoredDelivery, Duration)> {
    let now = clock::now();
    let behind = if taken(&mut state.settings.stale_next.0) { state.settings.stale_next.1 } else { 0 };
    let endpoint = state.endpoints.iter().find(|one| one.id == parcel.endpoint && one.enabled)?;
    let event = state.events.get(parcel.event)?;
    let body = event.body(endpoint.api_version.as_deref().unwrap_or(&state.settings.api_version));
    let secrets = endpoint.live_secrets(now.unix_timestamp_nanos() / 1_000_000);
    let signature = signature::header(&body, &secrets, now.unix_timestamp() - behind);
    let sent = StoredDelivery {
        endpoint: endpoint.id.clone(),
        event: event.id.clone(),
        kind: event.kind.clone(),
        signature,
        body,
        outcome: Outcome::Failed(String::new()),
    };
    Some((endpoint.url.clone(), sent, state.settings.answer_within))
}
