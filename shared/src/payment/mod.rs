//! Payments: what is to be paid, and what became of it.
//!
//! ```text
//! standing   which of two words about an object counts
//! object     the newest word about each object at a provider: intent, charge, refund, dispute, invoice …
//! state      what a payment is, as a pure function of its objects
//! movement   what of it moved money, and the ledger that keeps each movement once
//! row        our own payments, and whose an object is
//! observe    one word from a provider, taken in: the four above in the right order
//! ```
//!
//! Providers say things twice, late, in any order, and sometimes not at all. Nothing here counts events: each object
//! keeps the word that counts most, and what a payment is follows from its objects. So the same words in another order
//! end in the same rows.

mod movement;
mod object;
mod observe;
mod row;
mod standing;
mod state;

pub mod btcpay;
pub mod stripe;

pub use movement::{Movement, MovementKind, record as record_movements};
pub use object::{Kind, Snapshot};
pub use observe::{CLAIMED_FOR, Observed, Unclaimed, claim, lock_word, names, observe, unclaimed};
pub use row::{NewPayment, Source, create};
pub use standing::{Heard, Standing};
pub use state::{Derived, ObjectState, PaymentState, derive};

pub(crate) use object::lock;
