//! How deliveries go wrong, in a test's hands.

use std::time::Duration;

use anyhow::Context;

use super::{
    delivery::{Parcel, release, schedule},
    handle::Stripe,
    state::Settings,
};
use crate::clock;

impl Stripe {
    /// Between the tries of a delivery: from 5 minutes to 12 hours, three days in all, until said otherwise.
    pub fn set_retry_waits(&self, waits: &[Duration]) {
        self.settings(|settings| settings.waits = waits.to_vec());
    }

    /// Shortens (or stretches) those waits for a test.
    pub fn set_retry_factor(&self, factor: f64) -> anyhow::Result<()> {
        anyhow::ensure!((0.0..=1000.0).contains(&factor), "factor {factor} is not between 0 and 1,000");
        self.settings(|settings| settings.wait_factor = factor);
        Ok(())
    }

    /// How long a receiver may take to answer; 10 s until said otherwise.
    pub fn set_answer_within(&self, within: Duration) {
        self.settings(|settings| settings.answer_within = within);
    }

    /// Every delivery from now on sets out so much later.
    pub fn delay_deliveries(&self, delay: Duration) {
        self.settings(|settings| settings.delay = delay);
    }

    /// Every delivery from now on sets out up to so much later again, drawn for each from the seed: 10 ms until said
    /// otherwise, so that nobody counts on an order.
    pub fn scatter_deliveries(&self, most: Duration) {
        self.settings(|settings| settings.scatter = most);
    }

    /// The next so many deliveries are never sent; `u64::MAX` is all of them.
    pub fn drop_deliveries(&self, count: u64) {
        self.settings(|settings| settings.drop_next = count);
    }

    /// The next so many deliveries are sent twice, both at once; `u64::MAX` is all of them.
    pub fn deliver_twice(&self, count: u64) {
        self.settings(|settings| settings.double_next = count);
    }

    /// The next so many deliveries are held until all of them are there, and then let go one after the other in an
    /// order drawn from the seed.
    pub fn hold_deliveries(&self, count: u64) {
        self.settings(|settings| settings.hold_next = count);
    }

    /// Lets go what is held, few as it may be; gives how many.
    pub fn release_deliveries(&self) -> usize {
        self.state(|state| {
            let held = state.held.len();
            release(&self.0, state);
            held
        })
    }

    /// The next so many tries are signed as of so many seconds ago (or, below 0, ahead).
    pub fn sign_stale(&self, count: u64, seconds: i64) {
        self.settings(|settings| settings.stale_next = (count, seconds));
    }

    /// A new secret for an endpoint. The old ones sign along for so long, and no more after that.
    pub fn rotate_secret(&self, endpoint: &str, secret: &str, keep_old: Duration) -> anyhow::Result<()> {
        let until = clock::now() + keep_old;
        self.endpoint(endpoint, |known| known.rotate(secret, until.unix_timestamp_nanos() / 1_000_000))
    }

    /// Sends an event once more, to an endpoint that may have had it already or was never meant to hear of it.
    pub fn resend(&self, event: &str, endpoint: &str) -> anyhow::Result<()> {
        self.endpoint(endpoint, |_| ())?;
        self.state(|state| {
            let number = state.events.iter().position(|one| one.id == event);
            let number = number.with_context(|| format!("there is no event {event:?}"))?;
            schedule(&self.0, state, Parcel { endpoint: endpoint.to_owned(), event: number });
            Ok(())
        })
    }

    /// A second event, with an id of its own, of the very same fact; gives its id.
    pub fn tell_again(&self, event: &str) -> anyhow::Result<String> {
        self.act("", |mut act| {
            let known = act.state.events.iter().find(|one| one.id == event).cloned();
            let mut again = known.with_context(|| format!("there is no event {event:?}"))?;
            again.id = act.state.new_id("evt_1", 23);
            Ok(act.publish(again))
        })
    }

    fn settings(&self, change: impl FnOnce(&mut Settings)) {
        self.state(|state| change(&mut state.settings));
    }
}
