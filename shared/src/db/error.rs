use std::error::Error;
use std::fmt;

use tokio_postgres::error::SqlState;

/// What went wrong at the database, as far as a caller can act on it.
#[derive(Debug)]
pub enum DbError {
    /// Postgres said no, and this constraint is why.
    Constraint { name: String, source: tokio_postgres::Error },
    /// No answer, no connection, shutting down, or too busy: the same request may succeed later.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// Another transaction holds what this one needs.
    LockTimeout(tokio_postgres::Error),
    /// Anything else is our mistake.
    Other(Box<dyn Error + Send + Sync>),
}

impl DbError {
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The name of the constraint that refused the statement, if one did.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Constraint { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            let broken = error.source().is_some_and(<dyn Error>::is::<std::io::Error>);
            return if error.is_closed() || broken {
                Self::unavailable(error)
            } else {
                Self::Other(error.into())
            };
        };
        if let Some(name) = answer.constraint() {
            return Self::Constraint { name: name.to_owned(), source: error };
        }
        match answer.code() {
            &SqlState::LOCK_NOT_AVAILABLE => Self::LockTimeout(error),
            code if may_pass(code) => Self::unavailable(error),
            _ => Self::Other(error.into()),
        }
    }
}

/// Connection trouble (08), out of resources (53), operator at work (57), and transactions that lost a race.
fn may_pass(code: &SqlState) -> bool {
    matches!(code.code().get(..2), Some("08" | "53" | "57"))
        || *code == SqlState::T_R_SERIALIZATION_FAILURE
        || *code == SqlState::T_R_DEADLOCK_DETECTED
        // The server was demoted under us: its successor takes writes.
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constraint { name, .. } => write!(f, "constraint {name} refused the statement"),
            Self::Unavailable(_) => f.write_str("the database is not available"),
            Self::LockTimeout(_) => f.write_str("waited too long for a lock"),
            Self::Other(_) => f.write_str("the database refused the statement"),
        }
    }
}

impl Error for DbError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Constraint { source, .. } | Self::LockTimeout(source) => Some(source),
            Self::Unavailable(source) | Self::Other(source) => Some(source.as_ref()),
        }
    }
}
