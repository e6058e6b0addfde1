//! Invoices on a user's own BTCPay store.
//!
//! ```text
//! order   what a user asks for
//! row     what is on record: written before BTCPay is asked, and again when its answer is good
//! maker   the calls between the two, and the checks on what came back
//! ```
//!
//! Nothing BTCPay answers is shown before it was read as BOLT11 and compared with the order. An answer that was lost is
//! found again by the order id, which is the row's.

mod maker;
mod order;
mod row;

pub use maker::{Made, MakeError, Maker, Mistake};
pub use order::Order;
pub use row::{BeginError, Begun, Claimed, FinishError, Invoice, Key, LEASE, Left, begin, finish, leave};
