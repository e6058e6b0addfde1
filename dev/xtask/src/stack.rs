//! The whole stack on this machine: Postgres, the sandbox, and every function behind one HTTP port.

use crate::command::{self, cargo, workspace};
use crate::http::Http;
use anyhow::{Context, Result};
use gateway::{Gateway, GatewayOptions, LogSink, Template};
use http::{Method, StatusCode};
use sandbox::{Sandbox, SandboxOptions};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use testing::deployment;
use testing::postgres::{Durability, Server, StartOptions, target_dir};

#[derive(Clone, Debug, Default)]
pub struct StackOptions {
    /// 0 takes a free one.
    pub port: u16,
    pub relaxed_limits: bool,
    pub run_schedules: bool,
}

/// How another program joins in.
#[derive(Clone, Debug)]
pub struct Addresses {
    pub api: String,
    pub sandbox: String,
    pub database_url: String,
}

impl Addresses {
    fn file() -> PathBuf {
        directory().join("world.json")
    }

    pub fn write(&self) -> Result<()> {
        let Self { api, sandbox, database_url } = self;
        let flat = json!({"api": api, "sandbox": sandbox, "database_url": database_url});
        fs::write(Self::file(), format!("{flat:#}\n")).context("target/dev/world.json")
    }

    pub fn forget() {
        let _ = fs::remove_file(Self::file());
    }

    /// Those of a `cargo xtask dev` that answers now.
    pub async fn of_running_stack() -> Option<Self> {
        let world: Value = serde_json::from_str(&fs::read_to_string(Self::file()).ok()?).ok()?;
        let text = |name: &str| world[name].as_str().map(str::to_owned);
        let found =
            Self { api: text("api")?, sandbox: text("sandbox")?, database_url: text("database_url")? };
        let health = Http::new().send(&Method::GET, &format!("{}/v1/health", found.api), &[], None).await;
        health.is_ok_and(|answer| answer.status == StatusCode::OK).then_some(found)
    }
}

/// The server that `DATABASE_URL` names, or one of our own.
pub enum Postgres {
    Given(String),
    Started(Server),
}

impl Postgres {
    pub fn start(name: &str) -> Result<Self> {
        if let Some(url) = std::env::var_os("DATABASE_URL").filter(|url| !url.is_empty()) {
            return Ok(Self::Given(url.into_string().ok().context("DATABASE_URL is not text")?));
        }
        let data_root = target_dir().join("postgres").join(format!("{name}-{}", std::process::id()));
        let durability = Durability::Tests;
        Server::start(StartOptions { data_root, port: 0, durability, max_connections: 500 })
            .map(Self::Started)
    }

    pub fn url(&self) -> String {
        match self {
            Self::Given(url) => url.clone(),
            Self::Started(server) => server.admin_url(),
        }
    }

    /// Stops our own; of a given one, only the database goes.
    pub async fn stop(self, database: &str) -> Result<()> {
        match self {
            Self::Given(url) => {
                let admin = deployment::connect(&url).await?;
                Ok(admin.batch_execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await?)
            }
            Self::Started(server) => tokio::task::spawn_blocking(|| server.stop()).await?,
        }
    }
}

pub struct Stack {
    pub addresses: Addresses,
    template: Template,
    // Dropped in this order when a start is broken off: nobody is left to ask for what has gone.
    gateway: Gateway,
    sandbox: Sandbox,
    postgres: Postgres,
    database: String,
    /// Whether what goes wrong is shown on the terminal.
    loud: Arc<AtomicBool>,
}

impl Stack {
    /// Starts everything, telling what it is at, and returns when every function answers.
    pub async fn start(options: StackOptions) -> Result<Self> {
        println!("starting PostgreSQL");
        let postgres = tokio::task::spawn_blocking(|| Postgres::start("dev")).await??;
        println!("building the functions");
        command::run(cargo(&["build"])).await?;
        Self::on(postgres, options).await
    }

    /// The same with binaries that are built, on a server that runs.
    pub async fn on(postgres: Postgres, options: StackOptions) -> Result<Self> {
        println!("starting the sandbox");
        let sandbox = Sandbox::start(SandboxOptions::default()).await?;
        println!("making the database: roles, migrations, fresh secrets");
        let database = format!("satchel_dev_{}", std::process::id());
        deployment::install(&postgres.url(), &database, &sandbox.secrets()).await?;
        let database_url = deployment::sibling(&postgres.url(), &database, None)?;
        println!("starting the functions");
        let loud = Arc::new(AtomicBool::new(false));
        let template = template(options.relaxed_limits)?;
        let gateway = serve(&options, template.clone(), &sandbox, Arc::clone(&loud)).await?;
        let (api, sandbox_url) = (gateway.base_url(), sandbox.base_url().to_owned());
        let addresses = Addresses { api, sandbox: sandbox_url, database_url };
        let stack = Self { addresses, template, gateway, sandbox, postgres, database, loud };
        stack.gateway.ready().await?;
        stack.check_health().await?;
        stack.loud.store(true, Ordering::Relaxed);
        Ok(stack)
    }

    /// What a function finds in its environment here.
    pub fn environment(&self, function: &str) -> Result<BTreeMap<String, String>> {
        let found = self.template.function(function).context("template.yaml has no such function")?;
        let mut environment = found.environment.clone();
        environment.extend(deployment::local_environment(self.sandbox.base_url()));
        Ok(environment)
    }

    async fn check_health(&self) -> Result<()> {
        let health = format!("{}/v1/health", self.addresses.api);
        let answer = Http::new().send(&Method::GET, &health, &[], None).await?;
        if answer.status != StatusCode::OK {
            anyhow::bail!("GET /v1/health answers {}", answer.status);
        }
        Ok(())
    }

    /// Ends everything, and returns when it has ended.
    pub async fn stop(self) -> Result<()> {
        // What they say because their world ends is no news.
        self.loud.store(false, Ordering::Relaxed);
        self.gateway.stop().await;
        self.sandbox.stop().await;
        self.postgres.stop(&self.database).await
    }
}

/// The template as this machine deploys it.
pub fn template(relaxed_limits: bool) -> Result<Template> {
    let mut parameters = vec![
        ("AppDomain", "localhost"),
        ("IssuerUrl", "https://localhost"),
        ("DeploymentId", "local"),
        ("LightningAddressDomain", "localhost"),
    ];
    if relaxed_limits {
        parameters.extend(deployment::RELAXED_LIMITS);
    }
    let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    Template::load(workspace().join("template.yaml"), &parameters.collect())
}

async fn serve(
    options: &StackOptions,
    template: Template,
    sandbox: &Sandbox,
    loud: Arc<AtomicBool>,
) -> Result<Gateway> {
    // BTCPay is told where to reach this API before the API listens.
    let port = if options.port == 0 { free_port()? } else { options.port };
    let mut environment = deployment::local_environment(sandbox.base_url());
    environment.insert("WEBHOOK_BASE_URL".into(), format!("http://127.0.0.1:{port}"));
    Gateway::start(GatewayOptions {
        port,
        environment,
        log: log_sink(loud)?,
        run_schedules: options.run_schedules,
        ..GatewayOptions::new(template, target_dir().join("debug"))
    })
    .await
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn directory() -> PathBuf {
    target_dir().join("dev")
}

/// Every line to a file; what went wrong to the terminal, too, once `loud`: the error of a failed start tells it.
fn log_sink(loud: Arc<AtomicBool>) -> Result<LogSink> {
    fs::create_dir_all(directory())?;
    let file = Mutex::new(File::create(directory().join("functions.log"))?);
    Ok(Arc::new(move |function, line| {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk is no reason to stop serving.
        let _ = writeln!(file, "{function}: {line}");
        if loud.load(Ordering::Relaxed) && is_trouble(line) {
            eprintln!("{function}: {line}");
        }
    }))
}

/// A structured line says its level. What is not one, such as a panic, was not meant to be written.
fn is_trouble(line: &str) -> bool {
    match serde_json::from_str::<Value>(line) {
        Ok(line) => line["level"].as_str().is_some_and(|level| level.eq_ignore_ascii_case("error")),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::is_trouble;

    #[test]
    fn errors_and_unstructured_lines_reach_the_terminal() {
        assert!(is_trouble(r#"{"level":"ERROR","message":"the database is away"}"#));
        assert!(is_trouble("thread 'main' panicked at src/main.rs:1"));
        assert!(!is_trouble(r#"{"level":"INFO","status":400}"#));
    }
}
