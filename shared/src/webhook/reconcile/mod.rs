//! What never came: the providers' own lists, through the same inbox.
//!
//! Stripe lists its events; a cursor for each account says up to when they were gone through. BTCPay lists none that it
//! lost, so every invoice that is not settled is asked about, until it can be paid no more.

mod btcpay;
mod stripe;

pub use btcpay::btcpay;
pub use stripe::{silent_accounts, stripe};

/// What was gone through, and what of it nobody had told us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub seen: u64,
    pub found: u64,
    /// Accounts, or invoices, whose provider could not be asked. They are asked again next time.
    pub failed: u64,
}
