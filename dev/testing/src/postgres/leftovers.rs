//! Nothing stays behind: a watcher for each cluster, and a sweep before each start.

use super::home::Home;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LOCK: &str = "owner.lock";

/// Its input is a pipe from us that nobody else holds, so `read` returns when we close it, or when we are killed.
/// Portable, unlike a parent-death signal, and not tied to the thread that happened to start the server.
const WATCHER: &str = r#"
read -r _
pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) && kill -INT "$pid" 2>/dev/null
tries=0
while [ -n "$pid" ] && [ "$tries" -lt 150 ] && kill -0 "$pid" 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -eq 100 ] && kill -KILL "$pid" 2>/dev/null
  sleep 0.1
done
rm -rf "$2" "$3"
"#;

/// The process that stops the server and removes the files once we are gone.
#[derive(Debug)]
pub struct Watcher(Mutex<Child>);

impl Watcher {
    pub fn start(home: &Home) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", WATCHER, "postgres-watcher"])
            .arg(home.data())
            .args(home.directories())
            .current_dir("/")
            // A group of its own, or the Ctrl-C that ends us would end it, too.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("sh does not run")?;
        Ok(Self(Mutex::new(child)))
    }

    /// Lets it do its work now, and waits for the end of it.
    pub fn finish(&self) -> Result<()> {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(child.stdin.take());
        child.wait()?;
        Ok(())
    }
}

/// Makes the directory of a new cluster and locks it, after removing the clusters beside it whose lock is free.
pub fn claim(data_root: &Path) -> Result<File> {
    let siblings = data_root.parent().context("the data root has no parent")?;
    fs::create_dir_all(siblings)?;
    // Between making a directory and locking the file in it, another start must not take it for a leftover.
    let sweep_lock = File::create(siblings.join("sweep.lock"))?;
    sweep_lock.lock()?;
    for entry in fs::read_dir(siblings)? {
        let root = entry?.path();
        if let Ok(lock) = File::open(root.join(LOCK)) {
            match lock.try_lock() {
                Ok(()) => remove(&Home::left_behind(&root))?,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }
    fs::create_dir(data_root).with_context(|| format!("{}", data_root.display()))?;
    fs::set_permissions(data_root, Permissions::from_mode(0o711))?;
    let lock = File::create(data_root.join(LOCK))?;
    lock.lock()?;
    Ok(lock)
}

/// Ends the server of a dead owner, if it still runs, and removes its files.
fn remove(home: &Home) -> Result<()> {
    if let Some(pid) = home.postmaster().filter(|pid| serves(*pid, &home.data())) {
        eprintln!("stopping PostgreSQL (process {pid}), left by a run that was killed");
        let pid = Pid::from_raw(pid.cast_signed()).context("a process id is not 0")?;
        let deadline = Instant::now() + Duration::from_secs(10);
        // Gone already is what we want, so errors do not count.
        let _ = kill_process(pid, Signal::QUIT);
        while test_kill_process(pid).is_ok() && Instant::now() < deadline {
            sleep(Duration::from_millis(20));
        }
        let _ = kill_process(pid, Signal::KILL);
    }
    for directory in home.directories() {
        // The watcher may be at it as well.
        let _ = fs::remove_dir_all(directory);
    }
    Ok(())
}

/// A process id is soon another program's: after a reboot, say. Only a server on this very directory counts.
fn serves(pid: u32, data: &Path) -> bool {
    let command = fs::read(format!("/proc/{pid}/cmdline")).or_else(|_| {
        Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().map(|output| output.stdout)
    });
    command.is_ok_and(|command| {
        String::from_utf8_lossy(&command).split(['\0', ' ', '\n']).any(|argument| Path::new(argument) == data)
    })
}
