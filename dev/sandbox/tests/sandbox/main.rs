//! The sandbox over real HTTP.

mod btcpay;
mod btcpay_invoices;
mod chaos;
mod client;
mod control;
mod faults;
mod invoices;
mod lifecycle;
mod lnd;
mod macaroons;
mod receiver;
mod secrets_manager;
mod tls;
mod voltage;
mod wallet;
mod webhooks;
