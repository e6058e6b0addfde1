//! Programs run on the way: in a process group of their own, which ends with the future that waits for it.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

const END_WITHIN: Duration = Duration::from_secs(5);

/// The checkout this program was built from.
pub fn workspace() -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::canonicalize(&directory).unwrap_or(directory)
}

/// A program to run in the workspace, with no input: nothing here asks questions.
pub fn program(name: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(workspace()).stdin(Stdio::null());
    command
}

pub fn cargo(arguments: &[&str]) -> Command {
    program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), arguments)
}

/// Runs it, its output going to ours.
pub async fn run(command: Command) -> Result<()> {
    let name = name_of(&command);
    let status = Group::spawn(command)?.child.wait().await?;
    if status.success() { Ok(()) } else { bail!("{name} ended with {status}") }
}

/// Runs it and gives each line of its standard output to `see`. Says whether it succeeded.
pub async fn run_reading(mut command: Command, mut see: impl FnMut(&str)) -> Result<bool> {
    command.stdout(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let output = group.child.stdout.take().context("the output is piped")?;
    let mut lines = BufReader::new(output).split(b'\n');
    while let Some(line) = lines.next_segment().await? {
        see(&String::from_utf8_lossy(&line));
    }
    Ok(group.child.wait().await?.success())
}

/// Runs it quietly and returns what it printed; when it fails, that is in the error.
pub async fn output(mut command: Command) -> Result<String> {
    let name = name_of(&command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command)?;
    let out = group.child.stdout.take().context("the output is piped")?;
    let err = group.child.stderr.take().context("the errors are piped")?;
    let (out, err) = tokio::try_join!(read(out), read(err))?;
    let status = group.child.wait().await?;
    if !status.success() {
        bail!("{name} ended with {status}\n{}", format!("{out}{err}").trim());
    }
    Ok(out)
}

/// Ctrl-C, or the polite request to end that a supervisor sends.
pub async fn interrupted() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

async fn read(mut from: impl AsyncRead + Unpin) -> Result<String> {
    let mut bytes = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut from, &mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn name_of(command: &Command) -> String {
    let command = command.as_std();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.take(4).map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// A child and everything it starts.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    fn spawn(mut command: Command) -> Result<Self> {
        let name = name_of(&command);
        let child = command.process_group(0).spawn().with_context(|| format!("{name} does not run"))?;
        let id = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Ok(Self { child, id })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Waited for already, unless we were interrupted.
        let Some(id) = self.id.filter(|_| self.child.id().is_some()) else { return };
        let deadline = Instant::now() + END_WITHIN;
        let _ = kill_process_group(id, Signal::TERM);
        while Instant::now() < deadline && test_kill_process_group(id).is_ok() {
            let _ = self.child.try_wait();
            sleep(Duration::from_millis(20));
        }
        let _ = kill_process_group(id, Signal::KILL);
    }
}
