//! Providers as they are on good days and on bad ones.

mod breaker;
mod btcpay;
mod btcpay_refusals;
mod calls;
mod discord;
mod ground;
mod journey;
mod keys;
mod lnd;
mod privy;
mod privy_forged;
mod secrecy;
mod server;
mod ses;
mod stripe;
mod tls;
mod tries;
mod voltage;
mod voltage_refusals;
mod wire;
