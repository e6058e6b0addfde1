//! A database of its own for each test, copied from one that was migrated once.

use anyhow::Context;
use data_encoding::HEXLOWER;
use shared::clock::Clock;
use shared::crypto::{Secret, sha256};
use shared::db::roles::{self, Role};
use shared::fresh::DatabaseAddress;
use shared::migrations;
use shared::random::Random;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use crate::deployment::{self, Passwords};

const ADMIN_URL: &str = "SATCHEL_TEST_DATABASE_URL";
/// Held while the roles and the template database are made; any number will do.
const LOCK: i64 = 7_282_436;

/// A migrated, empty database, dropped with this value.
pub struct TestDb {
    pub name: String,
    admin_url: String,
    pub passwords: Passwords,
}

impl TestDb {
    pub async fn create() -> anyhow::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "tests are told by the environment where Postgres is")]
        let admin_url = std::env::var(ADMIN_URL)
            .with_context(|| format!("{ADMIN_URL} is not set: run `cargo xtask test`"))?;
        Self::create_at(&admin_url).await
    }

    /// As [`TestDb::create`], on a cluster of the test's own.
    pub async fn create_at(admin_url: &str) -> anyhow::Result<Self> {
        let admin = deployment::connect(admin_url).await?;
        let passwords = passwords(admin_url);
        let template = format!("satchel_template_{}", migrations::digest());
        let name = format!("satchel_test_{}", unique_id());
        admin.query_typed("SELECT pg_advisory_lock($1)", &[(&LOCK, Type::INT8)]).await?;
        let made = make_template(&admin, admin_url, &template, &passwords).await;
        let copied = match made {
            Ok(()) => roles::copy_database(&admin, &template, &name).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        admin.query_typed("SELECT pg_advisory_unlock($1)", &[(&LOCK, Type::INT8)]).await?;
        copied?;
        Ok(Self { name, admin_url: admin_url.to_owned(), passwords })
    }

    pub fn address(&self) -> anyhow::Result<DatabaseAddress> {
        deployment::address(&self.admin_url, &self.name)
    }

    /// A connection as one of the five roles.
    pub async fn connect(&self, role: Role) -> anyhow::Result<Client> {
        let password = self.passwords.get(&role).context("the role has no password")?;
        deployment::connect(&deployment::sibling(&self.admin_url, &self.name, Some((role.name(), password)))?)
            .await
    }

    /// A connection as the cluster's superuser, who sees everything.
    pub async fn admin(&self) -> anyhow::Result<Client> {
        deployment::connect(&self.admin_database_url()?).await
    }

    pub fn admin_database_url(&self) -> anyhow::Result<String> {
        deployment::sibling(&self.admin_url, &self.name, None)
    }

    /// The number one query says, for counting rows.
    pub async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        Ok(self.admin().await?.query_typed(sql, &[]).await?.first().context("no row")?.get(0))
    }
}

async fn make_template(
    admin: &Client,
    admin_url: &str,
    template: &str,
    passwords: &Passwords,
) -> anyhow::Result<()> {
    for (role, password) in passwords {
        roles::create(admin, *role, password).await?;
    }
    let made = "SELECT 1 FROM pg_database WHERE datname = $1";
    if admin.query_typed(made, &[(&template, Type::TEXT)]).await?.is_empty() {
        // Under another name until it is complete, so that a run cut short leaves no half-made template.
        let draft = format!("{template}_draft");
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {draft} WITH (FORCE)")).await?;
        deployment::create_database(admin_url, &draft, passwords).await?;
        admin.batch_execute(&format!("ALTER DATABASE {draft} RENAME TO {template}")).await?;
    }
    Ok(())
}

/// Roles belong to the whole cluster and its tests run in many processes, so all of them must come to the same
/// passwords: these follow from the administrator's URL, which holds one itself.
fn passwords(admin_url: &str) -> Passwords {
    let password = |role: Role| {
        let digest = sha256(format!("{admin_url}\n{}", role.name()).as_bytes());
        Secret::new(HEXLOWER.encode(&digest))
    };
    Role::ALL.into_iter().map(|role| (role, password(role))).collect()
}

fn unique_id() -> String {
    Random::system().id(Clock::system().now()).simple().to_string()
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (admin_url, name) = (self.admin_url.clone(), self.name.clone());
        // A thread of its own, because a test's runtime cannot block on itself.
        let dropping = std::thread::spawn(move || -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let admin = deployment::connect(&admin_url).await?;
                Ok(admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?)
            })
        });
        if !matches!(dropping.join(), Ok(Ok(()))) {
            eprintln!("database {} was left behind", self.name);
        }
    }
}
