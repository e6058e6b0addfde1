//! The gateway, as its users see it, over the `gateway_probe` binary.

mod http_api;
mod processes;
mod runtime_api;
mod template;
mod world;
