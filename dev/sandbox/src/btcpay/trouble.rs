//! How deliveries go wrong, in a test's hands.

use std::time::Duration;

use super::{delivery::release, handle::Btcpay, state::BtcpayState};

impl Btcpay {
    /// The next so many deliveries are lost before they are sent, without a trace.
    pub fn drop_deliveries(&self, count: u64) {
        self.settings(|settings| settings.drop_next = count);
    }

    /// The next so many deliveries are sent twice, byte for byte.
    pub fn deliver_twice(&self, count: u64) {
        self.settings(|settings| settings.double_next = count);
    }

    /// The next so many deliveries are held until all of them are there, and queued then in an order drawn from the
    /// seed: `BTCPay` itself keeps the order, its restarts and redeliveries do not.
    pub fn hold_deliveries(&self, count: u64) {
        self.settings(|settings| settings.hold_next = count);
    }

    /// Queues what is held, few as it may be; gives how many.
    pub fn release_deliveries(&self) -> usize {
        self.state(|state| release(&self.0, state))
    }

    /// Every delivery from now on sets out so much later, and what stands behind it waits.
    pub fn delay_deliveries(&self, delay: Duration) {
        self.settings(|settings| settings.delay = delay);
    }

    /// A webhook's one secret becomes another from the next try on; whether there was such a webhook.
    pub fn set_webhook_secret(&self, webhook: &str, secret: &str) -> bool {
        self.state(|state| {
            let known = state.webhook_mut(webhook);
            known.map(|known| secret.clone_into(&mut known.secret)).is_some()
        })
    }

    /// What waits in memory is forgotten, retries included.
    pub fn restart(&self) {
        self.state(BtcpayState::restart);
    }
}
