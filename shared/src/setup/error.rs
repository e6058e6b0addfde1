//! Why a run of a setup could not go on.

use std::fmt;

use crate::audit::AuditError;
use crate::crypto::{OpenError, SealError};
use crate::db::DbError;
use crate::secrets::SecretError;
use crate::upstream::{Provider, UpstreamError};

/// Why a run of a setup could not go on.
#[derive(Debug)]
pub enum SetupError {
    /// A provider said no, or nothing.
    Upstream(UpstreamError),
    /// A provider this setup needs is switched off by configuration.
    NotConfigured(Provider),
    /// What the setup rests on is not there; the code says what.
    Unusable(&'static str),
    /// A step outlasted its lease.
    OutOfTime,
    /// Somebody else runs this setup by now.
    LeaseLost,
    Secret(SecretError),
    Seal(SealError),
    Open(OpenError),
    Audit(AuditError),
    Db(DbError),
}

impl SetupError {
    pub(super) const fn not_configured(provider: Provider) -> &'static str {
        match provider {
            Provider::Btcpay => "BTCPAY_NOT_CONFIGURED",
            Provider::Voltage => "VOLTAGE_NOT_CONFIGURED",
            Provider::Lnd => "LND_NOT_CONFIGURED",
            Provider::Stripe => "STRIPE_NOT_CONFIGURED",
        }
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(error) => error.fmt(f),
            Self::NotConfigured(provider) => f.write_str(Self::not_configured(*provider)),
            Self::Unusable(code) => f.write_str(code),
            Self::OutOfTime => f.write_str("a step took longer than its lease"),
            Self::LeaseLost => f.write_str("the setup is in somebody else's hands by now"),
            Self::Seal(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Audit(AuditError::Secret(error)) | Self::Secret(error) => error.fmt(f),
            Self::Audit(AuditError::Db(error)) | Self::Db(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SetupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Audit(AuditError::Db(error)) | Self::Db(error) => error.source(),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {
        $(impl From<$source> for SetupError {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        })*
    };
}
from!(UpstreamError => Upstream, SecretError => Secret, SealError => Seal, OpenError => Open, AuditError => Audit, DbError => Db);
