//! The sandbox over real HTTP.

mod btcpay;
mod btcpay_invoices;
mod chaos;
mod client;
mod control;
mod discord;
mod faults;
mod invoices;
mod lifecycle;
mod lnd;
mod macaroons;
mod mail;
mod privy;
mod receiver;
mod secrets_manager;
mod stripe;
mod stripe_accounts;
mod stripe_control;
mod stripe_deliveries;
mod stripe_events;
mod stripe_idempotency;
mod stripe_versions;
mod tls;
mod voltage;
mod wallet;
mod webhooks;
