//! Payments by the real binaries: Stripe and BTCPay in the sandbox deliver through the gateway, and whatever happens on
//! the way the books come out right.

mod journey;
mod killed;
mod shop;
