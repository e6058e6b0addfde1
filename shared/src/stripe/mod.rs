//! Stripe: what it tells us, and how to ask it.

mod answer;
mod client;
mod event;
mod object;
mod path;
pub mod webhook;

pub use client::{EventPage, Stripe};
pub use event::{API_VERSION, Content, EVENT_TYPES, Event, MAX_BODY, NotAnEvent, Related};
pub use object::{
    Account, AccountStatus, ApplicationFee, Charge, CheckoutSession, Dispute, FraudWarning, Invoice,
    Movement, Object, PaymentIntent, Payout, Refund, Reversal, Subscription, Transfer, Unreadable,
};
pub use path::{Kind, NotAnId, Path};

#[cfg(test)]
mod tests;
