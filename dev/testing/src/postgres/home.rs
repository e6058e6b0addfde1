//! Where a cluster lives, and as whom it runs.
//!
//! Postgres refuses to run as root. Then it runs as `nobody`, without adding a user to the machine, and its files
//! go where `nobody` can reach them: under `target/`, or, when a parent of that is closed to others (`/root`, say),
//! in a fresh directory under the system's temporary folder.

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `nobody` and its group, by number, since names differ between systems.
const NOBODY: u32 = if cfg!(target_os = "macos") { u32::MAX - 1 } else { 65534 };
const TEMPORARY_PREFIX: &str = "satchel-postgres-";

/// Cargo's target directory of this workspace.
pub fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let workspace = fs::canonicalize(&workspace).unwrap_or(workspace);
    workspace.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Whether the server's user may run the programs in this directory.
pub fn runnable(programs: &Path) -> bool {
    !geteuid().is_root() || open_to_others(programs)
}

/// Whether everybody may pass through this directory and all its parents.
fn open_to_others(directory: &Path) -> bool {
    directory
        .ancestors()
        .all(|part| fs::metadata(part).is_ok_and(|found| found.permissions().mode() & 0o001 != 0))
}

/// A cluster's directories.
#[derive(Debug)]
pub struct Home {
    /// What the caller asked for.
    root: PathBuf,
    /// Where the files are: the same, or a temporary directory.
    files: PathBuf,
    as_nobody: bool,
}

impl Home {
    pub fn new(root: &Path) -> Result<Self> {
        let as_nobody = geteuid().is_root();
        fs::set_permissions(root, Permissions::from_mode(if as_nobody { 0o711 } else { 0o700 }))?;
        let mut files = root.to_path_buf();
        if as_nobody && !open_to_others(root) {
            files = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir()?.keep();
            fs::set_permissions(&files, Permissions::from_mode(0o700))?;
            fs::write(root.join("elsewhere"), files.as_os_str().as_encoded_bytes())?;
            lchown(&files, Some(NOBODY), Some(NOBODY))?;
        }
        let home = Self { root: root.to_path_buf(), files, as_nobody };
        fs::create_dir(home.data())?;
        fs::set_permissions(home.data(), Permissions::from_mode(0o700))?;
        if as_nobody {
            lchown(home.data(), Some(NOBODY), Some(NOBODY))?;
        }
        Ok(home)
    }

    /// The home a dead process left behind. Data elsewhere counts only where [`Home::new`] could have put it.
    pub fn left_behind(root: &Path) -> Self {
        let elsewhere = fs::read_to_string(root.join("elsewhere")).map(PathBuf::from).ok().filter(|path| {
            let named =
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY_PREFIX));
            named && path.parent() == Some(env::temp_dir().as_path())
        });
        let files = elsewhere.unwrap_or_else(|| root.to_path_buf());
        Self { root: root.to_path_buf(), files, as_nobody: geteuid().is_root() }
    }

    pub fn data(&self) -> PathBuf {
        self.files.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Everything that goes when the cluster goes; the root, with the lock in it, last.
    pub fn directories(&self) -> [&Path; 2] {
        [&self.files, &self.root]
    }

    /// A command that runs as the server's user.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // The caller's directory may be closed to `nobody`. Locale settings of the machine do not matter here.
        command.current_dir("/").env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGPORT");
        if self.as_nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Programs fetched below a closed directory are copied to where the server's user can reach them.
    pub fn make_reachable(&self, programs: PathBuf) -> Result<PathBuf> {
        if !self.as_nobody || open_to_others(&programs) {
            return Ok(programs);
        }
        let package = programs.parent().context("programs stand in a directory of their own")?;
        let copy = self.files.join("programs");
        let copied = Command::new("cp").arg("-RP").arg(package).arg(&copy).status()?;
        if !copied.success() {
            bail!("copying PostgreSQL's programs to {} failed", copy.display());
        }
        give_to_nobody(&copy)?;
        Ok(copy.join("bin"))
    }

    pub fn password_file(&self, password: &str) -> Result<PathBuf> {
        let path = self.files.join("password");
        fs::write(&path, "")?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        fs::write(&path, password)?;
        if self.as_nobody {
            lchown(&path, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(path)
    }

    /// The process in `postmaster.pid`, running or not.
    pub fn postmaster(&self) -> Option<u32> {
        fs::read_to_string(self.data().join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    /// The process in `postmaster.pid`, once the last line says that it takes connections.
    pub fn ready_postmaster(&self) -> Option<u32> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let mut lines = file.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        (lines.nth(6)?.trim() == "ready").then_some(pid)
    }
}

fn give_to_nobody(path: &Path) -> Result<()> {
    lchown(path, Some(NOBODY), Some(NOBODY))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to_nobody(&entry?.path())?;
        }
    }
    Ok(())
}
