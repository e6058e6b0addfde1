//! Rules about the house that a machine can check, by reading its sources. Every message says what to do.

mod arrows;
mod codes;
mod payments;
mod places;
mod source;
mod template;
mod words;
