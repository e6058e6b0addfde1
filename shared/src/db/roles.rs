//! The five roles, made once per cluster by whoever administers it, and the database they share.

use postgres_protocol::password::scram_sha_256;
use tokio_postgres::Client;

use super::DbError;
use crate::crypto::Secret;

/// A role of the database: what it may see stands in the policies of the migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Owns every table and runs the migrations.
    Owner,
    /// Sign-in: challenges, identities, sessions, audit.
    Auth,
    /// What a signed-in user does, within the rows that are theirs.
    Api,
    /// What providers tell us: the inbox, and the secrets their deliveries are signed with.
    Webhooks,
    /// Schedules and the operator's tool, on the tables that name it.
    Jobs,
}

impl Role {
    pub const ALL: [Self; 5] = [Self::Owner, Self::Auth, Self::Api, Self::Webhooks, Self::Jobs];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "satchel_owner",
            Self::Auth => "satchel_auth",
            Self::Api => "satchel_api",
            Self::Webhooks => "satchel_webhooks",
            Self::Jobs => "satchel_jobs",
        }
    }

    /// The last part of the role's secret, `satchel/database/<short name>`.
    pub const fn short_name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Auth => "auth",
            Self::Api => "api",
            Self::Webhooks => "webhooks",
            Self::Jobs => "jobs",
        }
    }
}

/// Limits that belong to the role, because a proxy refuses them at connect. Migrations may take their time.
const LIMITS: &str =
    "statement_timeout = '8s', lock_timeout = '3s', idle_in_transaction_session_timeout = '15s'";

/// Makes the role if it is not there, and gives it this password. Run as the cluster's administrator.
pub async fn create(admin: &Client, role: Role, password: &Secret<String>) -> Result<(), DbError> {
    let name = role.name();
    // The server never sees the password: statements end up in its log.
    let verifier = scram_sha_256(password.expose().as_bytes());
    admin
        .batch_execute(&format!(
            "DO $$ BEGIN
                 CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
             EXCEPTION WHEN duplicate_object THEN NULL;
             END $$;
             ALTER ROLE {name} PASSWORD '{verifier}';"
        ))
        .await?;
    let risky = admin
        .query_typed_one(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole FROM pg_roles WHERE rolname = $1",
            &[(&name, super::Type::TEXT)],
        )
        .await?;
    if risky.get(0) {
        return Err(DbError::Other(format!("role {name} exists and may do more than it should").into()));
    }
    if role != Role::Owner {
        for limit in LIMITS.split(", ") {
            admin.batch_execute(&format!("ALTER ROLE {name} SET {limit}")).await?;
        }
    }
    Ok(())
}

/// Makes the database `name`, owned by [`Role::Owner`], closed to everybody but the five roles.
pub async fn create_database(admin: &Client, name: &str) -> Result<(), DbError> {
    let quoted: String =
        admin.query_typed_one("SELECT quote_ident($1)", &[(&name, super::Type::TEXT)]).await?.get(0);
    let exists = admin
        .query_typed_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[(&name, super::Type::TEXT)])
        .await?
        .is_some();
    if !exists {
        // An administrator who is no superuser gives a database away only to a role that is also theirs.
        admin.batch_execute(&format!("GRANT {} TO CURRENT_USER", Role::Owner.name())).await?;
        admin.batch_execute(&format!("CREATE DATABASE {quoted} OWNER {}", Role::Owner.name())).await?;
    }
    close(admin, &quoted).await
}

/// Makes the database `name` a copy of `template`, closed in the same way.
pub async fn copy_database(admin: &Client, template: &str, name: &str) -> Result<(), DbError> {
    admin
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template} OWNER {}", Role::Owner.name()))
        .await?;
    close(admin, name).await
}

/// Lets in the five roles and nobody else.
async fn close(admin: &Client, quoted: &str) -> Result<(), DbError> {
    let roles = Role::ALL.map(Role::name).join(", ");
    admin
        .batch_execute(&format!(
            "REVOKE ALL ON DATABASE {quoted} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {quoted} TO {roles};"
        ))
        .await?;
    Ok(())
}
