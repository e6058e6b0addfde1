//! The node behind a store: one of this sandbox, spoken to in the same process, or one elsewhere, taken on trust.

use std::sync::Arc;

use super::{connection_string::ConnectionString, state::StoredMethod};
use crate::{
    Faults, Service,
    lnd::{
        LndError,
        in_process::{self, Location, NodeInfo},
        invoices::{Invoice, NewInvoice},
    },
    world::World,
};

/// A node of this sandbox and the macaroon for it.
pub(crate) struct Node<'a> {
    world: &'a Arc<World>,
    name: String,
    macaroon: String,
}

/// Why a node is of no use.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// In another world, which the sandbox does not call.
    Elsewhere,
    Refused(String),
}

impl<'a> Node<'a> {
    pub(crate) fn of(world: &'a Arc<World>, method: &StoredMethod) -> Result<Self, Unusable> {
        let parsed = ConnectionString::parse(&method.connection_string).map_err(Unusable::Refused)?;
        Self::at(world, &parsed)
    }

    pub(crate) fn at(world: &'a Arc<World>, to: &ConnectionString) -> Result<Self, Unusable> {
        let found = in_process::node_at(world, to.server.as_str()).ok_or(Unusable::Elsewhere)?;
        let Location { node: name, https } = found;
        if Faults(Arc::clone(world)).is_away(Service::Lnd) {
            return Err(Unusable::Refused("the connection was closed".into()));
        }
        // Its certificate signs itself: no authority vouches for it.
        if https && to.thumbprint != Some(world.tls.fingerprint()) {
            return Err(Unusable::Refused("the certificate is not trusted".into()));
        }
        Ok(Self { world, name, macaroon: to.macaroon.clone() })
    }

    pub(crate) fn info(&self) -> Result<NodeInfo, Unusable> {
        in_process::get_info(self.world, &self.name, &self.macaroon).map_err(|error| refused(&error))
    }

    /// A macaroon that may not ask for information still makes invoices, so that is no reason to refuse it.
    pub(crate) fn check(&self) -> Result<(), Unusable> {
        match self.info() {
            Err(Unusable::Refused(why)) if why == "permission denied" => Ok(()),
            Err(why) => Err(why),
            Ok(_) => Ok(()),
        }
    }

    pub(crate) fn add_invoice(&self, new: NewInvoice) -> Result<Invoice, Unusable> {
        in_process::add_invoice(self.world, &self.name, &self.macaroon, new).map_err(|error| refused(&error))
    }

    pub(crate) fn lookup(&self, payment_hash: &[u8; 32]) -> Result<Invoice, Unusable> {
        in_process::lookup_invoice(self.world, &self.name, &self.macaroon, payment_hash)
            .map_err(|error| refused(&error))
    }

    /// So that nobody pays any more. A macaroon that may not do so leaves the invoice to its expiry.
    pub(crate) fn cancel(&self, payment_hash: &[u8; 32]) {
        let _ = in_process::cancel_invoice(self.world, &self.name, &self.macaroon, payment_hash);
    }

    pub(crate) fn name(self) -> String {
        self.name
    }
}

fn refused(error: &LndError) -> Unusable {
    Unusable::Refused(error.message.clone())
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Elsewhere => f.write_str("the sandbox calls no node outside itself"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}
