//! Running the binary.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Stdio;

use sandbox::Sandbox;
use serde_json::Value;
use shared::clock::Clock;
use testing::{Result, World, deployment};
use time::OffsetDateTime;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// The binary in an environment that holds nothing but what a test gives it.
#[derive(Default)]
pub struct Tool {
    environment: BTreeMap<String, String>,
}

/// What became of a run.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Tool {
    /// With the region, the credentials and the endpoint of this sandbox.
    pub fn at(sandbox: &Sandbox) -> Self {
        Self { environment: deployment::local_environment(sandbox.base_url()) }
    }

    /// With the variables of a function, as an operator copies them.
    pub fn of(world: &World, function: &str) -> Result<Self> {
        Ok(Self { environment: world.environment(function)? })
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        self.run_on(arguments, &[]).await
    }

    /// To be started by a test that does more with it than wait. It is killed with the test.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_satchel"));
        command.args(arguments).env_clear().envs(&self.environment).kill_on_drop(true);
        command
    }

    pub async fn run_on(&self, arguments: &[&str], input: &[u8]) -> Result<Ran> {
        let mut command = self.command(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Most commands exit without having read it.
            let _ = stdin.write_all(input).await;
        }
        let output = child.wait_with_output().await?;
        Ok(Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }
}

impl Tool {
    /// The arguments make no sense: it says which would, on standard error alone, and exits 2.
    pub async fn wants_others(&self, arguments: &[&str]) -> Result<()> {
        let ran = self.run(arguments).await?;
        assert!(ran.code == Some(2) && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
        let usage = format!("Usage: satchel {}", arguments[0]);
        let helps = [usage.as_str(), "For more information, try '--help'", "possible values"];
        assert!(helps.iter().any(|help| ran.stderr.contains(help)), "{arguments:?}: {ran:?}");
        Ok(())
    }

    /// Each of these commands says that the database is not there, and never what its password is.
    pub async fn misses_the_database(
        &self,
        sandbox: &Sandbox,
        commands: impl IntoIterator<Item: AsRef<[&str]>>,
    ) -> Result<()> {
        let mut jobs = document(sandbox, "satchel/database/jobs")?;
        jobs["port"] = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().into();
        sandbox.secrets().put("satchel/database/jobs", &jobs.to_string());
        for arguments in commands {
            let arguments = arguments.as_ref();
            let said = self.run(arguments).await?.refused();
            assert!(
                said.contains("connecting as satchel_jobs with satchel/database/jobs: "),
                "{arguments:?}: {said}"
            );
            assert!(!said.contains(jobs["password"].as_str().unwrap_or("?")), "{said}");
        }
        Ok(())
    }
}

impl Ran {
    /// What it printed, if it succeeded, whatever it showed of its progress.
    #[track_caller]
    pub fn done(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:?}");
        &self.stdout
    }

    /// The line that says why it failed, the last of those on standard error.
    #[track_caller]
    pub fn failed(&self) -> &str {
        assert!(self.code == Some(1) && self.stdout.is_empty(), "{self:?}");
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("satchel: "), "{self:?}");
        last
    }

    /// What it printed, if it succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.code == Some(0) && self.stderr.is_empty(), "{self:?}");
        self.stdout
    }

    /// The one line that says why it failed.
    #[track_caller]
    pub fn refused(self) -> String {
        assert!(self.code == Some(1) && self.stdout.is_empty(), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("satchel: "), "{self:?}");
        self.stderr
    }
}

/// A world at the time of the database, which the tool goes by.
pub async fn world_of_today() -> Result<World> {
    let world = World::start().await?;
    world.advance(today() - world.now());
    Ok(world)
}

pub fn today() -> OffsetDateTime {
    Clock::system().now()
}

/// A secret document as Secrets Manager has it now.
pub fn document(sandbox: &Sandbox, name: &str) -> Result<Value> {
    let text = sandbox.secrets().get(name).ok_or_else(|| testing_error(name))?;
    Ok(serde_json::from_str(&text)?)
}

fn testing_error(name: &str) -> std::io::Error {
    std::io::Error::other(format!("there is no secret {name}"))
}

/// What must never be printed of a document: its passwords and keys.
pub fn secret_values(document: &Value) -> Vec<String> {
    let own = ["password", "key", "private_key"].iter().filter_map(|name| document[name].as_str());
    let own =
        own.flat_map(|value| value.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
    let listed = document["keys"].as_array().into_iter().flatten().flat_map(secret_values);
    own.chain(listed).collect()
}
