use std::error::Error;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use serde::de::DeserializeOwned;
use shared::config::Config;
use shared::crypto::Secret;
use shared::db::roles::Role;
use shared::db::{Credentials, Database};
use shared::secrets::{self, causes};

/// What Secrets Manager takes at most, in bytes.
pub const LONGEST_DOCUMENT: usize = 65_536;
const NOT_FOUND: &str = "ResourceNotFoundException";
const OWNER_ONLY_DIRECTORY: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;

/// Which secrets to read
#[derive(Debug, clap::Args)]
pub struct From {
    /// What the names of the secrets begin with: the stack's parameter `SecretPrefix`
    #[arg(long, default_value = "satchel", value_parser = prefix)]
    pub prefix: String,
    /// Read them from the files `satchel secrets new --out` made, and not from Secrets Manager
    #[arg(long, value_name = "DIRECTORY")]
    pub dir: Option<PathBuf>,
}

/// As `template.yaml` has it.
pub fn prefix(text: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
    if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) || text.ends_with('/') {
        bail!("a prefix is 1 to 64 letters, digits and /_+=.@- without a / at its end");
    }
    Ok(text.to_owned())
}

/// Where secrets are. They are called by what follows the prefix, such as `database/owner`.
pub struct Store {
    prefix: String,
    place: Place,
}

enum Place {
    Manager(Client),
    Directory(PathBuf),
}

impl Store {
    pub async fn open(from: From) -> Result<Self> {
        match from.dir {
            Some(path) => Ok(Self::directory(from.prefix, path)),
            None => Self::manager(from.prefix).await,
        }
    }

    /// Secrets Manager, as the environment says.
    pub async fn manager(prefix: String) -> Result<Self> {
        let mut config = Config::from_process();
        let default_region = config.optional("AWS_DEFAULT_REGION");
        let region = config.optional("AWS_REGION").or(default_region);
        let region = region.unwrap_or_else(|| config.text("AWS_REGION"));
        let client = secrets::client(
            region,
            config.text("AWS_ACCESS_KEY_ID"),
            config.text("AWS_SECRET_ACCESS_KEY"),
            config.optional("AWS_SESSION_TOKEN"),
            config.optional("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        );
        config.finish().await.context(
            "Secrets Manager cannot be asked (`eval \"$(aws configure export-credentials --format env)\"` sets what \
             your AWS profile knows)",
        )?;
        Ok(Self { prefix, place: Place::Manager(client) })
    }

    pub fn directory(prefix: String, path: PathBuf) -> Self {
        Self { prefix, place: Place::Directory(path) }
    }

    /// The secret's name in Secrets Manager.
    pub fn name(&self, secret: &str) -> String {
        format!("{}/{secret}", self.prefix)
    }

    /// What a secret of this full name is called here, if its name begins with the prefix.
    pub fn behind_prefix<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&self.prefix)?.strip_prefix('/')
    }

    /// Where the secret is, for people.
    pub fn location(&self, secret: &str) -> String {
        match &self.place {
            Place::Manager(_) => self.name(secret),
            Place::Directory(path) => file(path, secret).display().to_string(),
        }
    }

    /// Makes ready what [`Store::create`] writes to.
    pub fn prepare(&self) -> Result<()> {
        let Place::Directory(path) = &self.place else { return Ok(()) };
        let made = DirBuilder::new().recursive(true).mode(OWNER_ONLY_DIRECTORY).create(path);
        let found = made.and_then(|()| fs::metadata(path)).with_context(|| path.display().to_string())?;
        if found.permissions().mode() & 0o077 != 0 {
            bail!("{} is open to others: chmod 700 it, or name another directory", path.display());
        }
        Ok(())
    }

    pub async fn exists(&self, secret: &str) -> Result<bool> {
        match &self.place {
            Place::Directory(path) => file(path, secret).try_exists().with_context(|| self.location(secret)),
            Place::Manager(client) => {
                match client.describe_secret().secret_id(self.name(secret)).send().await {
                    Ok(_) => Ok(true),
                    Err(error) if error.code() == Some(NOT_FOUND) => Ok(false),
                    Err(error) => Err(self.failed(secret, &error)),
                }
            }
        }
    }

    /// Refuses if there is such a secret: its value may be the only one that opens what it sealed.
    pub async fn create(&self, secret: &str, document: &str) -> Result<()> {
        match &self.place {
            Place::Directory(path) => {
                let mut options = OpenOptions::new();
                let opened =
                    options.write(true).create_new(true).mode(OWNER_ONLY_FILE).open(file(path, secret));
                let written = opened.and_then(|mut file| {
                    file.write_all(document.as_bytes())?;
                    file.sync_all()
                });
                written.with_context(|| self.location(secret))
            }
            Place::Manager(client) => {
                let request = client.create_secret().name(self.name(secret)).secret_string(document);
                request.send().await.map(drop).map_err(|error| self.failed(secret, &error))
            }
        }
    }

    /// A new version of a secret that exists; the one before stays in Secrets Manager as `AWSPREVIOUS`.
    pub async fn replace(&self, secret: &str, document: &str) -> Result<()> {
        let Place::Manager(client) = &self.place else {
            bail!("{}: only Secrets Manager keeps versions", self.location(secret));
        };
        let request = client.put_secret_value().secret_id(self.name(secret)).secret_string(document);
        request.send().await.map(drop).map_err(|error| self.failed(secret, &error))
    }

    /// The document as the type that functions read it into.
    pub async fn read<D, T>(&self, secret: &str) -> Result<T>
    where
        D: DeserializeOwned,
        T: TryFrom<D, Error = &'static str>,
    {
        let document: D = self.document(secret).await?;
        T::try_from(document).map_err(|problem| anyhow!("{} {problem}", self.location(secret)))
    }

    pub async fn document<D: DeserializeOwned>(&self, secret: &str) -> Result<D> {
        let text = self.text(secret).await?;
        // serde's message may quote the value it choked on; its position does not.
        serde_json::from_str(&text).map_err(|error| {
            anyhow!("{} is not the document expected (column {})", self.location(secret), error.column())
        })
    }

    /// The text of a secret, if there is such a secret.
    pub async fn find(&self, secret: &str) -> Result<Option<Secret<String>>> {
        if self.exists(secret).await? { Ok(Some(Secret::new(self.text(secret).await?))) } else { Ok(None) }
    }

    async fn text(&self, secret: &str) -> Result<String> {
        match &self.place {
            Place::Directory(path) => {
                fs::read_to_string(file(path, secret)).with_context(|| self.location(secret))
            }
            Place::Manager(client) => {
                let answer = client.get_secret_value().secret_id(self.name(secret)).send().await;
                let answer = answer.map_err(|error| self.failed(secret, &error))?;
                answer.secret_string.with_context(|| format!("{} has no text value", self.name(secret)))
            }
        }
    }

    /// A connection to the database as this role.
    pub async fn connect(&self, role: Role) -> Result<tokio_postgres::Client> {
        let secret = database_secret(role);
        let database: Database = self.read::<Credentials, _>(&secret).await?;
        let connected = database.connect().await;
        connected.with_context(|| format!("connecting as {} with {}", role.name(), self.location(&secret)))
    }

    fn failed<E, R>(&self, secret: &str, error: &SdkError<E, R>) -> anyhow::Error
    where
        SdkError<E, R>: ProvideErrorMetadata + Error + 'static,
    {
        let reason = match error.code() {
            Some(code) => format!("{code}: {}", error.message().unwrap_or_default()),
            None => causes(error),
        };
        anyhow!("secret {}: {reason}", self.name(secret))
    }
}

/// `database/<role>`
pub fn database_secret(role: Role) -> String {
    format!("database/{}", role.short_name())
}

fn file(directory: &Path, secret: &str) -> PathBuf {
    directory.join(format!("{}.json", secret.replace('/', "-")))
}
