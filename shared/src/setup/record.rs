//! What a run reads and writes beside its steps: sealed columns, and the audit rows that tell of them.

use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;

use super::SetupError;
use super::keys;
use super::row::Setup;
use super::run::Run;
use super::steps::Step;
use crate::audit::Entry;
use crate::crypto::Secret;
use crate::db::{self, Connection, Transaction, Type, execute, query_opt};

impl Run<'_> {
    /// Before things go that whoever has the lease by now may use.
    pub(super) async fn still_holds<T>(&self, setup: &Setup, going: &[T]) -> Result<(), SetupError> {
        if going.is_empty() {
            return Ok(());
        }
        let mut connection = self.saga.db.connection().await?;
        let tx = self.begin(&mut connection, setup).await?;
        let sql = "SELECT FROM lightning_setups WHERE id = $1 AND lease_token = $2";
        let params = [(&setup.id as _, Type::UUID), (&setup.lease_token as _, Type::INT8)];
        let held = query_opt(&tx, sql, &params).await?;
        db::commit(tx).await?;
        held.map(|_| ()).ok_or(SetupError::LeaseLost)
    }

    /// A transaction that acts for the setup's account, whatever its role.
    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut Connection,
        setup: &Setup,
    ) -> Result<Transaction<'c>, SetupError> {
        let tx = connection.transaction().await?;
        query_opt(
            &tx,
            "SELECT set_config('app.user_id', $1, true)",
            &[(&setup.user_id.to_string(), Type::TEXT)],
        )
        .await?;
        Ok(tx)
    }

    /// Reads sealed columns and opens them; the reading is audited in the same transaction. Nothing when there is no
    /// row, and `None` for a column that is NULL.
    pub(super) async fn read_secrets(
        &self,
        setup: &Setup,
        action: &'static str,
        sql: &'static str,
    ) -> Result<Vec<Option<Secret<Vec<u8>>>>, SetupError> {
        let ring = self.saga.sealing.get().await?;
        let mut connection = self.saga.db.connection().await?;
        let tx = self.begin(&mut connection, setup).await?;
        let id: &(dyn ToSql + Sync) = &setup.id;
        let mut opened = Vec::new();
        if let Some(row) = query_opt(&tx, sql, &[(id, Type::UUID)]).await? {
            for (at, column) in row.columns().iter().enumerate() {
                let known = super::SECRET_COLUMNS.iter().find(|known| **known == column.name());
                let column = known.ok_or(SetupError::Unusable("SECRET_COLUMN_UNKNOWN"))?;
                let sealed: Option<&[u8]> = row.get(at);
                opened.push(
                    sealed.map(|sealed| ring.open(keys::field(&setup.id, column), sealed)).transpose()?,
                );
            }
        }
        self.note_read(&tx, setup, action).await?;
        db::commit(tx).await?;
        Ok(opened)
    }

    pub(super) async fn note_read(
        &self,
        tx: &Transaction<'_>,
        setup: &Setup,
        action: &'static str,
    ) -> Result<(), SetupError> {
        let details = json!({ "step": setup.step.name() });
        self.note(tx, setup, action, details, self.saga.clock.now()).await
    }

    pub(super) async fn note(
        &self,
        tx: &Transaction<'_>,
        setup: &Setup,
        action: &'static str,
        details: serde_json::Value,
        now: OffsetDateTime,
    ) -> Result<(), SetupError> {
        let id = setup.id.to_string();
        let entry = Entry {
            user_id: Some(setup.user_id),
            action,
            resource: ("lightning_setup", &id),
            details,
            origin: self.origin,
            now,
        };
        Ok(self.saga.audit.append(tx, &entry).await?)
    }

    /// Tells of a second store or node that is gone.
    pub(super) async fn note_extra(
        &self,
        setup: &Setup,
        step: Step,
        what: &serde_json::Value,
    ) -> Result<(), SetupError> {
        self.log(setup, (step, "extra_deleted", "setup.extra_deleted"), what).await
    }

    /// A row of the setup's log and its audit row, in a transaction of their own.
    pub(super) async fn log(
        &self,
        setup: &Setup,
        (step, event, action): (Step, &'static str, &'static str),
        details: &serde_json::Value,
    ) -> Result<(), SetupError> {
        let now = self.saga.clock.now();
        let mut connection = self.saga.db.connection().await?;
        let tx = self.begin(&mut connection, setup).await?;
        execute(
            &tx,
            "INSERT INTO lightning_setup_log (setup_id, user_id, step, event, attempt, detail, created_at)
             VALUES ($1, $2, $3, $4, 0, $5, $6)",
            &[
                (&setup.id, Type::UUID),
                (&setup.user_id, Type::UUID),
                (&step.name(), Type::TEXT),
                (&event, Type::TEXT),
                (&details.to_string(), Type::TEXT),
                (&now, Type::TIMESTAMPTZ),
            ],
        )
        .await?;
        self.note(&tx, setup, action, details.clone(), now).await?;
        Ok(db::commit(tx).await?)
    }
}
