//! Journeys over the gateway, the way a client calls it.

mod sign_in;
