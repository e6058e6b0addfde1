//! Webhooks: what providers tell us, each thing once, and what follows from it.
//!
//! ```text
//! inbox       the rows: what was told, as the very bytes that were signed, and what is to become of it
//! stripe      what follows from an event of Stripe's: most of it at once, in the transaction that records it
//! btcpay      whose secret signs, and what a delivery of BTCPay's is called
//! queue       the rows that wait: taken up under a lease, tried again later, given up in the end
//! processor   what waits: the provider is asked, and its answer applied
//! refetch     what two events of one second disagree about: the provider's word decides
//! claim       what came before our own row of its payment
//! reconcile   what never came: the providers' own lists, through the same inbox
//! desk        what an operator looks up and drives again
//! ```
//!
//! A repeat finds its row. An effect and the end of its row are one transaction, so neither is without the other.

pub mod btcpay;
pub mod claim;
pub mod desk;
pub mod inbox;
pub mod processor;
pub mod queue;
pub mod reconcile;
pub mod refetch;
pub mod stripe;

pub use inbox::{Event, Fate, NewRow, Recorded, Sender, body, body_field, reason, record, redirect};
pub use processor::Processor;
