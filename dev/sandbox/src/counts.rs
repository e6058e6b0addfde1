//! Exact counts: every request, and everything that was really created or deleted.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::Service;

#[derive(Default)]
pub(crate) struct Counts {
    calls: BTreeMap<(Service, String, String), u64>,
    objects: BTreeMap<(Service, &'static str), (u64, u64)>,
    pub(crate) connections: Connections,
}

/// Connections to the sandbox, of all services and the control together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    pub open: u64,
    /// The most that were open at one time.
    pub highest: u64,
    pub accepted: u64,
}

/// How often one route of one service was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    pub service: Service,
    pub method: String,
    pub path: String,
    pub count: u64,
}

/// How many things of one kind a service made and removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Objects {
    pub service: Service,
    /// `secret`, `secret_version`; `node`, `wallet`, `macaroon`; `store`, `webhook`, `invoice`, `lightning_invoice`, `user`,
    /// `api_key`; of Stripe its own names for objects (`checkout_session`, `charge`), `event` and `webhook_endpoint`.
    pub kind: &'static str,
    pub created: u64,
    pub deleted: u64,
}

impl Counts {
    /// The how manieth of its kind it is.
    pub(crate) fn call(&mut self, service: Service, method: &str, path: &str) -> u64 {
        let count = self.calls.entry((service, method.to_owned(), path.to_owned())).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn opened(&mut self) {
        let Connections { open, highest, accepted } = &mut self.connections;
        *open += 1;
        *accepted += 1;
        *highest = (*highest).max(*open);
    }

    pub(crate) fn closed(&mut self) {
        self.connections.open -= 1;
    }

    pub(crate) fn created(&mut self, service: Service, kind: &'static str) {
        self.objects.entry((service, kind)).or_default().0 += 1;
    }

    pub(crate) fn deleted(&mut self, service: Service, kind: &'static str) {
        self.deleted_many(service, kind, 1);
    }

    pub(crate) fn deleted_many(&mut self, service: Service, kind: &'static str, many: usize) {
        if many > 0 {
            self.objects.entry((service, kind)).or_default().1 += many as u64;
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        let one = |((service, method, path), count): (&(Service, String, String), &u64)| Call {
            service: *service,
            method: method.clone(),
            path: path.clone(),
            count: *count,
        };
        self.calls.iter().map(one).collect()
    }

    pub(crate) fn objects(&self) -> Vec<Objects> {
        let one = |((service, kind), (created, deleted)): (&(Service, &'static str), &(u64, u64))| Objects {
            service: *service,
            kind,
            created: *created,
            deleted: *deleted,
        };
        self.objects.iter().map(one).collect()
    }
}
